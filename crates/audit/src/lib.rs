//! Finds what breaks in JavaScript and TypeScript servers once there are several instances: state in memory,
//! sessions, limits, jobs by the clock, local files, sockets, signals, addresses.
//!
//! [`audit`] reads the files below some folders, parses each (with oxc, on every processor), links them by their
//! imports, and gives [`Findings`]; [`render`] writes those as text, JSON or SARIF. The manual is `docs/audit.md`.

mod finding;
mod lines;
mod link;
mod model;
mod nesting;
mod read;
pub mod render;
pub mod rules;
mod settle;
mod suppress;
mod walk;

use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::finding::{Finding, Findings, Note, Place, Related, Severity, Suppressed};
use self::model::FileModel;
pub use self::rules::{RULES, Rule};

/// What to audit.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Tests too: `test`, `spec`, `__tests__`, `*.test.js` and the like.
    pub include_tests: bool,
    /// What is built too: `dist`, `build`, `out`, `*.min.js` and the like.
    pub include_built: bool,
    /// Threads that parse; 0 for one per processor.
    pub threads: usize,
}

/// Why nothing was audited.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// A path of the command line cannot be read.
    #[error("{}: {source}; give a folder or a file that exists", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Not a single file to look at.
    #[error(
        "no JavaScript or TypeScript below {paths}; node_modules, tests, built files and what .gitignore names are \
         left out (--include-tests, --include-built)"
    )]
    NothingToAudit {
        /// What was asked for.
        paths: String,
    },
    /// The system gives no threads.
    #[error("cannot start a thread with a stack of 512 MiB: {0}")]
    NoThread(std::io::Error),
}

/// Audits files, and everything below folders.
pub fn audit(paths: &[PathBuf], options: &Options) -> Result<Findings, AuditError> {
    let walked = walk::walk(paths, options)?;
    if walked.sources.is_empty() {
        let paths = paths.iter().map(|it| it.display().to_string()).collect::<Vec<_>>().join(", ");
        return Err(AuditError::NothingToAudit { paths });
    }
    let models = read_all(&walked.sources, options.threads)?;
    Ok(settle::settle(walked, models))
}

/// One source, as if it were the only file of its package. For tests and editors.
pub fn audit_source(name: &str, source: &str) -> Result<Findings, AuditError> {
    let path = PathBuf::from(name);
    let read = on_big_stack(|| read::parse(&path, source, options_of_one()))?;
    let walked = walk::Walked { sources: vec![path], ..walk::Walked::default() };
    Ok(settle::settle(walked, vec![read]))
}

fn options_of_one() -> read::Limits {
    read::Limits { minified: true }
}

/// Parses all files, each thread taking the next one.
fn read_all(sources: &[PathBuf], threads: usize) -> Result<Vec<FileModel>, AuditError> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { processors } else { threads }.min(sources.len()).max(1);
    let next = AtomicUsize::new(0);
    let models = Mutex::new(Vec::with_capacity(sources.len()));
    let work = || {
        let mut own = vec![];
        while let Some(path) = sources.get(next.fetch_add(1, Ordering::Relaxed)) {
            own.push(read::read(path));
        }
        if let Ok(mut all) = models.lock() {
            all.append(&mut own);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            let thread = std::thread::Builder::new().stack_size(nesting::STACK);
            thread.spawn_scoped(scope, work).map_err(AuditError::NoThread)?;
        }
        Ok(())
    })?;
    let mut models = models.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    models.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(models)
}

fn on_big_stack<T: Send>(work: impl FnOnce() -> T + Send) -> Result<T, AuditError> {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(nesting::STACK);
        let handle = thread.spawn_scoped(scope, work).map_err(AuditError::NoThread)?;
        match handle.join() {
            Ok(value) => Ok(value),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
