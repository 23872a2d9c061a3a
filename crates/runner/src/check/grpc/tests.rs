use proptest::prelude::*;

use super::*;

fn framed(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![];
    frame(&mut bytes, kind, flags, stream, payload);
    bytes
}

fn message(status: u8) -> Vec<u8> {
    vec![0, 0, 0, 0, 2, 8, status]
}

fn take(bytes: &[u8]) -> Option<Outcome> {
    Answer::default().take(bytes, &mut vec![])
}

fn trouble(bytes: &[u8]) -> String {
    take(bytes).unwrap().unwrap_err()
}

#[test]
fn a_serving_server_passes_however_its_answer_is_cut() {
    let mut answer = framed(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]);
    answer.extend(framed(SETTINGS, ACK, 0, &[]));
    answer.extend(framed(PING, 0, 0, b"12345678"));
    answer.extend(framed(HEADERS, END_HEADERS, STREAM, &[0x88]));
    answer.extend(framed(DATA, 0, STREAM, &message(1)));
    assert_eq!(take(&answer), Some(Ok(())));
    let (mut pieces, mut out) = (Answer::default(), vec![]);
    let (last, rest) = answer.split_last().unwrap();
    for byte in rest {
        assert_eq!(pieces.take(&[*byte], &mut out), None);
    }
    assert_eq!(pieces.take(&[*last], &mut out), Some(Ok(())));
    let mut acknowledged = framed(SETTINGS, ACK, 0, &[]);
    acknowledged.extend(framed(PING, ACK, 0, b"12345678"));
    assert_eq!(out, acknowledged);
}

#[test]
fn padding_is_no_part_of_an_answer() {
    let mut padded = vec![3];
    padded.extend(message(1));
    padded.extend([0; 3]);
    assert_eq!(take(&framed(DATA, PADDED, STREAM, &padded)), Some(Ok(())));
    let headers = framed(HEADERS, END_HEADERS | PADDED | PRIORITY, STREAM, &[2, 0, 0, 0, 0, 0, 0x8d, 0, 0]);
    assert_eq!(trouble(&headers), "the server answers with HTTP status 404");
    // More padding than there is.
    assert_eq!(take(&framed(DATA, PADDED, STREAM, &[255, 1])), None);
}

#[test]
fn every_other_answer_fails_and_says_why() {
    for (status, words) in [(0, "UNKNOWN"), (2, "NOT_SERVING"), (3, "SERVICE_UNKNOWN")] {
        let told = trouble(&framed(DATA, 0, STREAM, &message(status)));
        assert_eq!(told, format!("the service is {words}"));
    }
    let unimplemented = b"\x88\x40\x0bgrpc-status\x0212";
    let trailers_only = framed(HEADERS, END_HEADERS | END_STREAM, STREAM, unimplemented);
    assert_eq!(
        trouble(&trailers_only),
        "the server answers with gRPC status 12 (UNIMPLEMENTED): it has no health service"
    );
    assert_eq!(
        trouble(&framed(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 11])),
        "the server ends the connection with HTTP/2 error 11"
    );
    assert_eq!(take(&framed(GOAWAY, 0, 0, &[0, 0, 0, 1, 0, 0, 0, 0])), None);
    assert_eq!(
        trouble(&framed(RST_STREAM, 0, STREAM, &[0, 0, 0, 8])),
        "the server reset the call with HTTP/2 error 8"
    );
    assert_eq!(trouble(&framed(DATA, END_STREAM, STREAM, &[])), "the server ends the call without an answer");
    assert_eq!(trouble(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "the server speaks no HTTP/2 without TLS");
    let endless = framed(PING, ACK, 0, &[0; 16_000]).repeat(3);
    assert_eq!(trouble(&endless), "its answer is longer than 32768 bytes");
}

#[test]
fn headers_are_read_with_and_without_huffman_coding_and_in_parts() {
    // grpc-status: 5, both by Huffman's codes, after an update of the table's size.
    let block = [0x20, 0x00, 0x88, 0x9a, 0xca, 0xc8, 0xb2, 0x12, 0x34, 0xda, 0x8f, 0x81, 0x6f];
    assert_eq!(read_block(&block), Some(Told::Grpc(5)));
    let mut parts = framed(HEADERS, END_STREAM, STREAM, &block[..6]);
    parts.extend(framed(CONTINUATION, END_HEADERS, STREAM, &block[6..]));
    assert_eq!(trouble(&parts), "the server answers with gRPC status 5 (NOT_FOUND)");
    assert_eq!(read_block(&[0x48, 0x03, b'5', b'0', b'3']), Some(Told::Http(503)));
    assert_eq!(read_block(&[0x7f, 0xff, 0xff, 0xff]), None, "an integer without an end");
}

#[test]
fn a_request_names_its_service_even_if_that_is_long() {
    let service = "s".repeat(200);
    let request = request(50_051, &service);
    assert!(request.starts_with(PREFACE));
    let mut data = vec![0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01];
    data.extend(service.bytes());
    assert!(request.ends_with(&framed(DATA, END_STREAM, STREAM, &data)));
}

proptest! {
    #[test]
    fn no_answer_makes_the_reader_panic(
        frames in proptest::collection::vec((0_u8..12, any::<u8>(), 0_u32..3, proptest::collection::vec(any::<u8>(), 0..64)), 0..8),
        tail in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes: Vec<u8> =
            frames.iter().flat_map(|(kind, flags, stream, payload)| framed(*kind, *flags, *stream, payload)).collect();
        bytes.extend(tail);
        let mut answer = Answer::default();
        let mut out = vec![];
        for chunk in bytes.chunks(7) {
            if answer.take(chunk, &mut out).is_some() {
                break;
            }
        }
        prop_assert!(out.len() <= bytes.len() * 2);
    }
}
