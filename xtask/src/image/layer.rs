//! Layers: files of this machine and texts as a tar archive, without times and owners, so that equal content gives
//! equal bytes.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use super::oci::Blob;
use crate::hash;

/// Something in a layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Copied from the machine, links followed.
    File {
        source: PathBuf,
        mode: u32,
    },
    Text {
        content: String,
        mode: u32,
    },
    Dir {
        mode: u32,
    },
    Link {
        target: String,
    },
}

/// Path in the image, without the leading slash, to what is there. Sorted, hence deterministic.
pub(crate) type Tree = BTreeMap<String, Entry>;

/// Writes a layer to a file and says what it is.
pub(crate) fn write_hashed(tree: &Tree, file: File) -> Result<Blob> {
    let mut out = Hashing::new(BufWriter::new(file));
    write_layer(tree, &mut out)?;
    out.finish()
}

/// Adds a folder of the machine below `prefix`; executable files stay so.
pub(crate) fn add_folder(tree: &mut Tree, folder: &Path, prefix: &str) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        let path = format!("{prefix}/{}", entry.file_name().to_string_lossy());
        let kind = entry.file_type()?;
        if kind.is_dir() {
            add_folder(tree, &entry.path(), &path)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(entry.path())?.to_string_lossy().into_owned();
            tree.insert(path, Entry::Link { target });
        } else {
            let mode = if entry.metadata()?.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 };
            tree.insert(path, Entry::File { source: entry.path(), mode });
        }
    }
    Ok(())
}

/// Writes the files of a layer with their parent folders, owned by root, without times.
fn write_layer(tree: &Tree, out: &mut dyn Write) -> Result<()> {
    let mut archive = tar::Builder::new(out);
    for (path, entry) in &with_parents(tree) {
        match entry {
            Entry::Dir { mode } => {
                let mut header = header(tar::EntryType::Directory, *mode, 0);
                archive.append_data(&mut header, format!("{path}/"), io::empty())?;
            }
            Entry::Text { content, mode } => {
                let mut header = header(tar::EntryType::Regular, *mode, content.len() as u64);
                archive.append_data(&mut header, path, content.as_bytes())?;
            }
            Entry::Link { target } => {
                let mut header = header(tar::EntryType::Symlink, 0o777, 0);
                archive.append_link(&mut header, path, target)?;
            }
            Entry::File { source, mode } => {
                let file = File::open(source).with_context(|| format!("cannot read {}", source.display()))?;
                let size = file.metadata()?.len();
                let mut header = header(tar::EntryType::Regular, *mode, size);
                archive.append_data(&mut header, path, file.take(size))?;
            }
        }
    }
    archive.finish()?;
    Ok(())
}

fn with_parents(tree: &Tree) -> Tree {
    let mut all = tree.clone();
    for path in tree.keys() {
        for parent in Path::new(path).ancestors().skip(1).filter(|parent| !parent.as_os_str().is_empty()) {
            all.entry(parent.to_string_lossy().into_owned()).or_insert(Entry::Dir { mode: 0o755 });
        }
    }
    all
}

/// The header of an entry owned by root, at the beginning of time.
pub(crate) fn header(kind: tar::EntryType, mode: u32, size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

/// Hashes and counts what is written.
struct Hashing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Hashing<W> {
    fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    fn finish(mut self) -> Result<Blob> {
        self.inner.flush()?;
        Ok(Blob { digest: format!("sha256:{}", hash::hex(&self.hash.finalize())), size: self.size })
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// The paths in a tar archive, in their order.
#[cfg(test)]
pub(super) fn paths_in(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("entries");
    entries.map(|entry| entry.expect("entry").path().expect("path").display().to_string()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_a_file_are_in_the_layer_before_it() {
        let mut bytes = Vec::new();
        let tree = Tree::from([("usr/bin/app".to_owned(), Entry::Text { content: "x".into(), mode: 0o755 })]);
        write_layer(&tree, &mut bytes).expect("written");
        assert_eq!(paths_in(&bytes), ["usr/", "usr/bin/", "usr/bin/app"]);
    }
}
