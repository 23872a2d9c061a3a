//! The script that is loaded into each Node.js process of the app. It is written
//! in pieces with one concern each, and installed as one file.

/// The installed file. The pieces share one scope; the last one begins the work.
pub(crate) const SCRIPT: &str = concat!(
    include_str!("preload/head.cjs"),
    include_str!("preload/channel.cjs"),
    include_str!("preload/requests.cjs"),
    include_str!("preload/streams.cjs"),
    include_str!("preload/close.cjs"),
    include_str!("preload/drain.cjs"),
    include_str!("preload/pool.cjs"),
    include_str!("preload/listen.cjs"),
    include_str!("preload/shutdown.cjs"),
    include_str!("preload/metrics.cjs"),
    include_str!("preload/main.cjs"),
);

#[cfg(test)]
mod tests {
    use std::process::Command;

    #[test]
    fn the_pieces_make_one_script() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("preload.cjs");
        std::fs::write(&path, super::SCRIPT).unwrap();
        let Ok(check) = Command::new("node").arg("--check").arg(&path).output() else {
            assert!(std::env::var_os("CI").is_none(), "no `node` in PATH, and CI must not skip");
            println!("skipped: no `node` in PATH");
            return;
        };
        assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stderr));
    }
}
