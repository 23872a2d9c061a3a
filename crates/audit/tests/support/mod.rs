//! What the tests of the rules share.

#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses a part of it, and may panic")]

use std::path::{Path, PathBuf};

use nodeapp_audit::{Findings, Options, audit, audit_source};
use tempfile::TempDir;

/// Rules and lines of what one file gives.
pub(crate) fn found(source: &str) -> Vec<(&'static str, u32)> {
    found_in("server.js", source)
}

pub(crate) fn found_in(name: &str, source: &str) -> Vec<(&'static str, u32)> {
    let findings = audit_source(name, source).unwrap();
    assert_eq!(findings.notes, [], "the source of a test should parse");
    findings.findings.iter().map(|it| (it.rule, it.place.line)).collect()
}

/// Files of a test, below a folder of their own.
pub(crate) struct Project {
    dir: TempDir,
}

impl Project {
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap() };
        for (name, text) in files {
            project.write(name, text.as_bytes());
        }
        project
    }

    pub(crate) fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn audit(&self) -> Findings {
        self.audit_with(&Options::default())
    }

    pub(crate) fn audit_with(&self, options: &Options) -> Findings {
        audit(&[self.dir.path().to_owned()], options).unwrap()
    }

    /// Rule, file and line of each finding.
    pub(crate) fn found(&self) -> Vec<(&'static str, PathBuf, u32)> {
        let findings = self.audit();
        assert_eq!(findings.notes, [], "the sources of a test should parse");
        let all = findings.findings.iter().map(|it| (it.rule, self.short(&it.place.file), it.place.line));
        all.collect()
    }

    pub(crate) fn short(&self, file: &Path) -> PathBuf {
        file.strip_prefix(self.dir.path()).unwrap().to_owned()
    }
}
