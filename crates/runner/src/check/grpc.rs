//! A call of the gRPC health protocol, `grpc.health.v1.Health/Check`, by the least
//! client that HTTP/2 allows: one stream, no dynamic table, bounded reads.

use super::Outcome;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;
/// The default of HTTP/2, which we do not raise.
const MAX_FRAME: usize = 16 * 1024;
/// All that is read of an answer; a real one has a few hundred bytes.
const MAX_ANSWER: usize = 32 * 1024;
const STREAM: u32 = 1;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// Names of the status codes of gRPC by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// All that is sent at once: preface, settings and the whole call.
pub(super) fn request(port: u16, service: &str) -> Vec<u8> {
    let mut bytes = PREFACE.to_vec();
    // No dynamic table and no pushes, so that an answer can be read without a memory.
    frame(&mut bytes, SETTINGS, 0, 0, &[0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    // :method POST and :scheme http have places in the static table.
    let mut block = vec![0x83, 0x86];
    field(&mut block, &[0x04], b"/grpc.health.v1.Health/Check");
    field(&mut block, &[0x01], format!("localhost:{port}").as_bytes());
    field(&mut block, &[0x0f, 31 - 15], b"application/grpc");
    field(&mut block, &[0x0f, 58 - 15], b"nodeapp-runner");
    field(&mut block, b"\x00\x02te", b"trailers");
    frame(&mut bytes, HEADERS, END_HEADERS, STREAM, &block);
    let mut message = vec![];
    if !service.is_empty() {
        message.push(0x0a);
        varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let mut data = vec![0];
    data.extend_from_slice(&u32::try_from(message.len()).unwrap_or(u32::MAX).to_be_bytes());
    data.extend_from_slice(&message);
    frame(&mut bytes, DATA, END_STREAM, STREAM, &data);
    bytes
}

fn frame(bytes: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    bytes.extend_from_slice(&length[1..]);
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
}

/// A literal header field; all of ours are shorter than the 127 of one byte.
fn field(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.extend_from_slice(name);
    block.push(u8::try_from(value.len()).unwrap_or(0x7e));
    block.extend_from_slice(value);
}

fn varint(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7f {
        bytes.push((number.to_le_bytes()[0] & 0x7f) | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0] & 0x7f);
}

/// What has come of the answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    total: usize,
    bytes: Vec<u8>,
    block: Vec<u8>,
    message: Vec<u8>,
    ended: bool,
}

impl Answer {
    /// Takes what was read and puts what has to be sent into `out`; the outcome
    /// once there is one.
    pub(super) fn take(&mut self, read: &[u8], out: &mut Vec<u8>) -> Option<Outcome> {
        self.total += read.len();
        if self.total > MAX_ANSWER {
            return Some(Err(format!("its answer is longer than {MAX_ANSWER} bytes")));
        }
        self.bytes.extend_from_slice(read);
        loop {
            let head = self.bytes.first_chunk::<FRAME_HEAD>()?;
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            let (kind, flags) = (head[3], head[4]);
            let stream = u32::from_be_bytes([head[5] & 0x7f, head[6], head[7], head[8]]);
            if length > MAX_FRAME {
                return Some(Err("the server speaks no HTTP/2 without TLS".to_owned()));
            }
            if self.bytes.len() < FRAME_HEAD + length {
                return None;
            }
            let rest = self.bytes.split_off(FRAME_HEAD + length);
            let frame = std::mem::replace(&mut self.bytes, rest);
            if let Some(outcome) = self.frame(kind, flags, stream, &frame[FRAME_HEAD..], out) {
                return Some(outcome);
            }
        }
    }

    fn frame(
        &mut self,
        kind: u8,
        flags: u8,
        stream: u32,
        payload: &[u8],
        out: &mut Vec<u8>,
    ) -> Option<Outcome> {
        match kind {
            SETTINGS if flags & ACK == 0 => frame(out, SETTINGS, ACK, 0, &[]),
            PING if flags & ACK == 0 => frame(out, PING, ACK, 0, payload),
            GOAWAY => return goaway(payload),
            RST_STREAM if stream == STREAM => {
                return Some(Err(format!(
                    "the server reset the call with HTTP/2 error {}",
                    word(payload, 0)
                )));
            }
            DATA if stream == STREAM => {
                self.message.extend_from_slice(unpadded(flags, payload));
                self.ended |= flags & END_STREAM != 0;
                return verdict(&self.message).or_else(|| self.at_the_end());
            }
            HEADERS | CONTINUATION if stream == STREAM => {
                let mut part = if kind == HEADERS { unpadded(flags, payload) } else { payload };
                if kind == HEADERS && flags & PRIORITY != 0 {
                    part = part.get(5..).unwrap_or_default();
                }
                self.block.extend_from_slice(part);
                self.ended |= kind == HEADERS && flags & END_STREAM != 0;
                if flags & END_HEADERS != 0 {
                    let told = read_block(&std::mem::take(&mut self.block));
                    return match told {
                        Some(Told::Http(status)) if status != 200 => {
                            Some(Err(format!("the server answers with HTTP status {status}")))
                        }
                        Some(Told::Grpc(code)) if code != 0 => Some(Err(in_words(code))),
                        _ => self.at_the_end(),
                    };
                }
            }
            _ => {}
        }
        None
    }

    /// The answer has ended without a word about health.
    fn at_the_end(&self) -> Option<Outcome> {
        self.ended.then(|| Err("the server ends the call without an answer".to_owned()))
    }
}

/// A server that ends its connection in good order still answers the call.
fn goaway(payload: &[u8]) -> Option<Outcome> {
    let (last, error) = (word(payload, 0) & 0x7fff_ffff, word(payload, 4));
    (last < STREAM || error != 0)
        .then(|| Err(format!("the server ends the connection with HTTP/2 error {error}")))
}

fn word(payload: &[u8], at: usize) -> u32 {
    payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_be_bytes)
}

fn unpadded(flags: u8, payload: &[u8]) -> &[u8] {
    let Some((&padding, rest)) = payload.split_first().filter(|_| flags & PADDED != 0) else {
        return payload;
    };
    rest.get(..rest.len().saturating_sub(usize::from(padding))).unwrap_or_default()
}

/// What the message says, once it is whole.
fn verdict(data: &[u8]) -> Option<Outcome> {
    let (head, message) = data.split_first_chunk::<5>()?;
    if head[0] != 0 {
        return Some(Err("the server compresses its answer, which was not asked for".to_owned()));
    }
    let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
    if length > MAX_ANSWER {
        return Some(Err(format!("its answer is longer than {MAX_ANSWER} bytes")));
    }
    let message = message.get(..length)?;
    Some(match status(message) {
        Some(1) => Ok(()),
        Some(0) => Err("the service is UNKNOWN".to_owned()),
        Some(2) => Err("the service is NOT_SERVING".to_owned()),
        Some(3) => Err("the service is SERVICE_UNKNOWN".to_owned()),
        _ => Err("its answer is no message of the health protocol".to_owned()),
    })
}

/// Field 1 of the message, 0 when it is not there; nothing where this is no message.
fn status(mut message: &[u8]) -> Option<u64> {
    let mut status = 0;
    while !message.is_empty() {
        let tag = read_varint(&mut message)?;
        let skip = match tag & 7 {
            0 => {
                let value = read_varint(&mut message)?;
                if tag >> 3 == 1 {
                    status = value;
                }
                0
            }
            1 => 8,
            2 => usize::try_from(read_varint(&mut message)?).ok()?,
            5 => 4,
            _ => return None,
        };
        message = message.get(skip..)?;
    }
    Some(status)
}

fn read_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn in_words(code: u32) -> String {
    let name = usize::try_from(code).ok().and_then(|index| CODES.get(index)).copied().unwrap_or("no code");
    let hint = if code == 12 { ": it has no health service" } else { "" };
    format!("the server answers with gRPC status {code} ({name}){hint}")
}

/// What a block of headers says about the call.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    Http(u32),
    Grpc(u32),
}

/// Statuses with places of their own in the static table, from place 8 on.
const STATUSES: [u32; 7] = [200, 204, 206, 304, 400, 404, 500];

/// Reads a block of headers as far as it concerns us; a `grpc-status` is the last
/// word of it.
fn read_block(mut block: &[u8]) -> Option<Told> {
    let mut told = None;
    while let Some((&first, _)) = block.split_first() {
        if first & 0x80 != 0 {
            let index = integer(&mut block, 7)?;
            if let Some(status) = index.checked_sub(8).and_then(|at| STATUSES.get(at)) {
                told = Some(Told::Http(*status));
            }
        } else if first & 0xe0 == 0x20 {
            integer(&mut block, 5)?;
        } else {
            let index = integer(&mut block, if first & 0x40 != 0 { 6 } else { 4 })?;
            let name = if index == 0 { Some(text(&mut block)?) } else { None };
            let value = text(&mut block)?;
            match name {
                None if (8..15).contains(&index) => told = number(&value).map(Told::Http).or(told),
                Some(name) if name.is("grpc-status") => return number(&value).map(Told::Grpc),
                _ => {}
            }
        }
    }
    told
}

/// An integer of HPACK with a prefix of so many bits.
fn integer(block: &mut &[u8], bits: u32) -> Option<usize> {
    let (&first, rest) = block.split_first()?;
    *block = rest;
    let most = (1_usize << bits) - 1;
    let mut number = usize::from(first) & most;
    if number < most {
        return Some(number);
    }
    for shift in [0, 7, 14] {
        let (&byte, rest) = block.split_first()?;
        *block = rest;
        number += usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// A text of HPACK, as it came.
struct Text<'a> {
    huffman: bool,
    bytes: &'a [u8],
}

fn text<'a>(block: &mut &'a [u8]) -> Option<Text<'a>> {
    let huffman = block.first()? & 0x80 != 0;
    let length = integer(block, 7)?;
    let (bytes, rest) = block.split_at_checked(length)?;
    *block = rest;
    Some(Text { huffman, bytes })
}

/// The Huffman codes (RFC 7541, appendix B) of the letters that we look for, with
/// their lengths in bits.
const LETTERS: [(u8, u32, u32); 19] = [
    (b'0', 0x0, 5),
    (b'1', 0x1, 5),
    (b'2', 0x2, 5),
    (b'3', 0x19, 6),
    (b'4', 0x1a, 6),
    (b'5', 0x1b, 6),
    (b'6', 0x1c, 6),
    (b'7', 0x1d, 6),
    (b'8', 0x1e, 6),
    (b'9', 0x1f, 6),
    (b'-', 0x16, 6),
    (b'a', 0x3, 5),
    (b'c', 0x4, 5),
    (b'g', 0x26, 6),
    (b'p', 0x2b, 6),
    (b'r', 0x2c, 6),
    (b's', 0x8, 5),
    (b't', 0x9, 5),
    (b'u', 0x2d, 6),
];

impl Text<'_> {
    fn is(&self, wanted: &str) -> bool {
        self.plain().is_some_and(|plain| plain == wanted.as_bytes())
    }

    /// The text, if it has no other letters than those that we look for.
    fn plain(&self) -> Option<Vec<u8>> {
        if !self.huffman {
            return Some(self.bytes.to_vec());
        }
        let (mut plain, mut code, mut bits) = (vec![], 0_u32, 0_u32);
        for bit in self.bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1))) {
            (code, bits) = (code << 1 | bit, bits + 1);
            if let Some((letter, ..)) =
                LETTERS.iter().find(|(_, known, length)| (*known, *length) == (code, bits))
            {
                plain.push(*letter);
                (code, bits) = (0, 0);
            } else if bits > 8 {
                return None;
            }
        }
        // The rest is filled with ones.
        (bits < 8 && code == (1 << bits) - 1).then_some(plain)
    }
}

fn number(text: &Text<'_>) -> Option<u32> {
    std::str::from_utf8(&text.plain()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests;
