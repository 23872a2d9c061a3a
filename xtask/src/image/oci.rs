//! Images as an OCI image layout, `~/.cache/nodeapp-operator/oci`: layers, configs and manifests by digest.
//! Made without Docker, and deterministic: equal content gives an equal digest on every machine.

use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::layer::{self, Tree};
use crate::{hash, lock, paths};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// What containerd calls an image by when it imports an archive.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// How many images of one repository are kept: some builds of each of several checkouts, with their variants.
const KEPT: usize = 20;

/// A blob and its length in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Blob {
    pub(crate) digest: String,
    pub(crate) size: u64,
}

/// How an image's process starts.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Run {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) entrypoint: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) cmd: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) env: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) user: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) working_dir: String,
}

/// The layout on disk. One process at a time changes it.
pub(crate) struct Store {
    dir: PathBuf,
    _lock: lock::Lock,
}

impl Store {
    /// Opens the store of this user, making it when it is not there.
    pub(crate) fn open() -> Result<Self> {
        Self::open_at(paths::cache()?.join("oci"))
    }

    fn open_at(dir: PathBuf) -> Result<Self> {
        fs::create_dir_all(dir.join("blobs/sha256"))
            .with_context(|| format!("cannot make {}", dir.display()))?;
        let lock = lock::take(&dir.join(".lock"), "the images")?;
        fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)?;
        Ok(Self { dir, _lock: lock })
    }

    /// The layer of an earlier call with the same key, as long as it is still there.
    pub(crate) fn layer_of(&self, key: &str) -> Option<Blob> {
        let blob: Blob = serde_json::from_slice(&fs::read(self.key_file(key)).ok()?).ok()?;
        (fs::metadata(self.blob_path(&blob.digest)).ok()?.len() == blob.size).then_some(blob)
    }

    /// Writes a layer and remembers it under `key`.
    pub(crate) fn layer(&self, key: &str, tree: &Tree) -> Result<Blob> {
        let part = self.dir.join(".layer");
        let blob = layer::write_hashed(tree, File::create(&part)?)?;
        fs::rename(&part, self.blob_path(&blob.digest))?;
        let file = self.key_file(key);
        fs::create_dir_all(file.parent().unwrap_or(&self.dir))?;
        fs::write(file, serde_json::to_vec(&blob)?)?;
        Ok(blob)
    }

    /// Writes config and manifest of an image and lists it under its reference, in place of an earlier one.
    pub(crate) fn image(&self, reference: &str, layers: &[Blob], run: &Run) -> Result<String> {
        let config = self.put(&serde_json::to_vec(&config(layers, run))?)?;
        let manifest = self.put(&serde_json::to_vec(&manifest(&config, layers))?)?;
        let mut entries = self.entries()?;
        entries.retain(|entry| name_of(entry) != Some(reference));
        entries.push(index_entry(reference, &manifest));
        let entries = newest(entries);
        self.write_index(&entries)?;
        Ok(manifest.digest)
    }

    /// The digest of an image's manifest.
    pub(crate) fn digest(&self, reference: &str) -> Result<String> {
        Ok(text(&self.entry(reference)?, "digest").to_owned())
    }

    /// Writes an archive with these images, each blob once, as `ctr images import` and `kind load` take it.
    pub(crate) fn export(&self, references: &[&str], out: &mut dyn Write) -> Result<()> {
        let entries = references.iter().map(|name| self.entry(name)).collect::<Result<Vec<_>>>()?;
        let mut archive = tar::Builder::new(out);
        append(&mut archive, "oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        append(&mut archive, "index.json", &serde_json::to_vec(&index(&entries))?)?;
        for digest in self.reachable(&entries)? {
            let path = self.blob_path(&digest);
            let mut file = File::open(&path)
                .with_context(|| format!("{} is gone; build the images again", path.display()))?;
            let mut header = layer::header(tar::EntryType::Regular, 0o644, file.metadata()?.len());
            archive.append_data(&mut header, blob_name(&digest), &mut file)?;
        }
        archive.finish()?;
        Ok(())
    }

    /// Removes blobs that no listed image needs.
    pub(crate) fn prune(&self) -> Result<()> {
        let needed: Vec<String> =
            self.reachable(&self.entries()?)?.into_iter().map(|digest| blob_name(&digest)).collect();
        for file in fs::read_dir(self.dir.join("blobs/sha256"))?.flatten() {
            let name = format!("blobs/sha256/{}", file.file_name().to_string_lossy());
            if !needed.contains(&name) {
                fs::remove_file(file.path())?;
            }
        }
        Ok(())
    }

    fn put(&self, bytes: &[u8]) -> Result<Blob> {
        let blob = Blob { digest: hash::digest(bytes), size: bytes.len() as u64 };
        let part = self.dir.join(".blob");
        fs::write(&part, bytes)?;
        fs::rename(&part, self.blob_path(&blob.digest))?;
        Ok(blob)
    }

    fn entries(&self) -> Result<Vec<Value>> {
        let Ok(bytes) = fs::read(self.dir.join("index.json")) else { return Ok(Vec::new()) };
        let index: Value = serde_json::from_slice(&bytes)
            .context("the image index is damaged; remove ~/.cache/nodeapp-operator/oci")?;
        Ok(index["manifests"].as_array().cloned().unwrap_or_default())
    }

    fn entry(&self, reference: &str) -> Result<Value> {
        match self.entries()?.into_iter().find(|entry| name_of(entry) == Some(reference)) {
            Some(entry) => Ok(entry),
            None => bail!("the image {reference} is not built; `cargo xtask image` builds it"),
        }
    }

    fn write_index(&self, entries: &[Value]) -> Result<()> {
        let part = self.dir.join(".index");
        fs::write(&part, serde_json::to_vec(&index(entries))?)?;
        Ok(fs::rename(part, self.dir.join("index.json"))?)
    }

    /// Manifests, configs and layers of the entries, each once, in a stable order.
    fn reachable(&self, entries: &[Value]) -> Result<Vec<String>> {
        let mut all = Vec::new();
        for entry in entries {
            let digest = text(entry, "digest");
            let manifest: Value = serde_json::from_slice(&fs::read(self.blob_path(digest))?)?;
            let layers = manifest["layers"].as_array().into_iter().flatten();
            for blob in std::iter::once(entry).chain(std::iter::once(&manifest["config"])).chain(layers) {
                let digest = text(blob, "digest").to_owned();
                if !all.contains(&digest) {
                    all.push(digest);
                }
            }
        }
        Ok(all)
    }

    fn blob_path(&self, digest: &str) -> PathBuf {
        self.dir.join(blob_name(digest))
    }

    fn key_file(&self, key: &str) -> PathBuf {
        self.dir.join("keys").join(key)
    }
}

fn blob_name(digest: &str) -> String {
    format!("blobs/{}", digest.replace(':', "/"))
}

fn name_of(entry: &Value) -> Option<&str> {
    entry["annotations"][CONTAINERD_NAME].as_str()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_default()
}

/// The last few of each repository; every build of the sources is a tag of its own.
fn newest(entries: Vec<Value>) -> Vec<Value> {
    let repository =
        |entry: &Value| name_of(entry).and_then(|name| name.rsplit_once(':')).map(|(r, _)| r.to_owned());
    let mut kept: Vec<Value> = Vec::new();
    for entry in entries.into_iter().rev() {
        let seen = kept.iter().filter(|other| repository(other) == repository(&entry)).count();
        if seen < KEPT {
            kept.push(entry);
        }
    }
    kept.reverse();
    kept
}

fn index(entries: &[Value]) -> Value {
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries})
}

fn index_entry(reference: &str, manifest: &Blob) -> Value {
    json!({
        "mediaType": MANIFEST, "digest": manifest.digest, "size": manifest.size,
        "annotations": {CONTAINERD_NAME: reference, REF_NAME: reference},
        "platform": {"architecture": "amd64", "os": "linux"},
    })
}

fn manifest(config: &Blob, layers: &[Blob]) -> Value {
    let layers: Vec<Value> =
        layers.iter().map(|l| json!({"mediaType": LAYER, "digest": l.digest, "size": l.size})).collect();
    json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": {"mediaType": CONFIG, "digest": config.digest, "size": config.size},
        "layers": layers,
    })
}

fn config(layers: &[Blob], run: &Run) -> Value {
    // Layers are not compressed, so the digest of a blob is the one of its content.
    let content: Vec<&str> = layers.iter().map(|layer| layer.digest.as_str()).collect();
    json!({
        "architecture": "amd64", "os": "linux", "config": run,
        "rootfs": {"type": "layers", "diff_ids": content},
    })
}

fn append(archive: &mut tar::Builder<&mut dyn Write>, path: &str, bytes: &[u8]) -> Result<()> {
    let mut header = layer::header(tar::EntryType::Regular, 0o644, bytes.len() as u64);
    Ok(archive.append_data(&mut header, path, bytes)?)
}

#[cfg(test)]
mod tests {
    use super::super::layer::{Entry, paths_in};
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("folder");
        let store = Store::open_at(dir.path().join("oci")).expect("opened");
        (dir, store)
    }

    fn tree(content: &str) -> Tree {
        Tree::from([("usr/bin/app".to_owned(), Entry::Text { content: content.into(), mode: 0o755 })])
    }

    #[test]
    fn equal_content_gives_an_equal_digest() {
        let (_one, first) = store();
        let (_two, second) = store();
        let digest = |store: &Store| {
            let layer = store.layer("k", &tree("x")).expect("layer");
            store.image("localhost/a:1", &[layer], &Run::default()).expect("image")
        };
        assert_eq!(digest(&first), digest(&second));
    }

    #[test]
    fn archive_holds_a_shared_layer_once() {
        let (_dir, store) = store();
        let base = store.layer("base", &tree("x")).expect("layer");
        store.image("localhost/a:1", std::slice::from_ref(&base), &Run::default()).expect("image");
        let other = Run { user: "node".into(), ..Run::default() };
        store.image("localhost/b:1", std::slice::from_ref(&base), &other).expect("image");
        let mut bytes = Vec::new();
        store.export(&["localhost/a:1", "localhost/b:1"], &mut bytes).expect("exported");
        let paths = paths_in(&bytes);
        assert_eq!(paths.iter().filter(|path| **path == blob_name(&base.digest)).count(), 1);
        assert_eq!(paths.len(), 2 + 1 + 2 + 2, "layout, index, layer, configs, manifests: {paths:?}");
    }

    #[test]
    fn old_builds_are_pruned_and_the_latest_stay() {
        let (_dir, store) = store();
        for build in 0..KEPT + 3 {
            let layer = store.layer(&format!("k{build}"), &tree(&build.to_string())).expect("layer");
            store.image(&format!("localhost/a:{build}"), &[layer], &Run::default()).expect("image");
        }
        store.prune().expect("pruned");
        assert!(store.digest("localhost/a:2").is_err() && store.digest("localhost/a:3").is_ok());
        assert!(store.layer_of("k2").is_none() && store.layer_of("k3").is_some());
    }
}
