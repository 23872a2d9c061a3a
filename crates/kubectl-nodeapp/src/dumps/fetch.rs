//! A file on its way from a pod to here.

use std::fs::File;
use std::io::{BufReader, Seek as _, Write as _};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde::de::IgnoredAny;

use crate::cluster::Cluster;
use crate::instances::APP;

/// How often a file is asked for until it is here as a whole.
const TRIES: u32 = 3;
/// For images without `cat` and `rm`, of which many have nothing but Node.js.
const CAT: &str = "require('fs').createReadStream(process.argv[1]).pipe(process.stdout)";
const RM: &str = "require('fs').rmSync(process.argv[1])";

/// A file of JSON in a pod.
pub(super) struct Fetch<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) pod: &'a Pod,
    pub(super) path: &'a str,
    pub(super) bytes: u64,
}

/// Why a copy is not whole.
enum Failure {
    /// This machine does not take it; to try again would not help.
    Here(std::io::Error),
    Way(String),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Here(error)
    }
}

impl Fetch<'_> {
    /// Writes it here, whole or not at all.
    ///
    /// # Errors
    /// When it does not arrive as a whole, with where it still is.
    pub(super) async fn to(&self, path: &Path) -> Result<(), String> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let failed = |error: &std::io::Error| format!("cannot write {}: {error}", path.display());
        let mut part = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(&error))?;
        let mut tries = 1;
        while let Err(failure) = self.copy(part.as_file_mut()).await {
            let (why, again) = match failure {
                Failure::Here(error) => (failed(&error), false),
                Failure::Way(why) => (why, tries < TRIES),
            };
            if !again {
                return Err(format!("{why}; the file is still in the pod: {}", self.by_hand()));
            }
            eprintln!("{why}; once more");
            tries += 1;
        }
        part.persist(path).map_err(|error| failed(&error.error))?;
        Ok(())
    }

    /// How somebody gets it with kubectl alone.
    fn by_hand(&self) -> String {
        let (name, namespace) = (self.pod.name_any(), self.pod.namespace().unwrap_or_default());
        format!("kubectl exec -n {namespace} {name} -c {APP} -- cat {}", self.path)
    }

    /// Copies it and looks whether it is whole.
    async fn copy(&self, file: &mut File) -> Result<(), Failure> {
        let name = self.pod.name_any();
        file.set_len(0)?;
        file.rewind()?;
        let (mut count, mut full) = (0, None);
        let take = |bytes: &[u8]| {
            count += bytes.len() as u64;
            file.write_all(bytes).map_err(|error| {
                let kind = error.kind();
                full = Some(error);
                kind.into()
            })
        };
        let run = self.run(&["cat", self.path], CAT, take).await;
        if let Some(error) = full {
            return Err(Failure::Here(error));
        }
        run.map_err(Failure::Way)?;
        if count != self.bytes {
            return Err(Failure::Way(format!("{name}: {count} of {} bytes have come", self.bytes)));
        }
        file.rewind()?;
        serde_json::from_reader::<_, IgnoredAny>(BufReader::new(file))
            .map_err(|error| Failure::Way(format!("{name}: what has come is not whole: {error}")))?;
        Ok(())
    }

    /// Takes it away from the pod.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn remove(&self) -> Result<(), String> {
        self.run(&["rm", "-f", self.path], RM, |_| Ok(())).await
    }

    /// Runs a program of the image, or Node.js where it has none.
    async fn run(
        &self,
        program: &[&str],
        script: &str,
        mut take: impl FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), String> {
        match self.cluster.exec_to(self.pod, program, &mut take).await {
            Err(why) if why.contains("not found") || why.contains("no such file") => {
                self.cluster.exec_to(self.pod, &["node", "-e", script, self.path], &mut take).await
            }
            outcome => outcome,
        }
    }
}
