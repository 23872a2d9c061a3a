//! Several files: imports, packages, settings, and what is left out.

mod support;

use std::path::{Path, PathBuf};

use nodeapp_audit::{AuditError, Options, Severity, audit};
use support::Project;

fn at(rule: &'static str, file: &str, line: u32) -> (&'static str, PathBuf, u32) {
    (rule, PathBuf::from(file), line)
}

#[test]
fn state_that_a_handler_of_another_file_writes_is_found() {
    let project = Project::new(&[
        ("store.js", "const users = {};\nexports.save = (id, user) => { users[id] = user; };\n"),
        (
            "routes.js",
            "const store = require('./store');\nrouter.post('/', (req, res) => { store.save(1, req.body); res.end(); });\n",
        ),
    ]);
    assert_eq!(project.found(), [at("module-state", "store.js", 1)]);
}

#[test]
fn state_that_is_imported_and_written_directly_is_found() {
    let project = Project::new(&[
        ("state.ts", "export const rooms = new Map<string, string>();\n"),
        (
            "app.ts",
            "import { rooms } from './state.js';\napp.get('/', (req, res) => { rooms.set('a', 'b'); res.end(); });\n",
        ),
    ]);
    assert_eq!(project.found(), [at("module-state", "state.ts", 1)]);
}

#[test]
fn variable_that_begins_with_an_imported_value_is_not_the_imported_one() {
    let project = Project::new(&[
        ("flags.js", "let none = 0;\nexports.none = none;\n"),
        (
            "app.js",
            "const { none } = require('./flags');\n\
                    app.get('/', (req, res) => { let flags = none; flags |= 1; res.json(flags); });\n",
        ),
    ]);
    assert_eq!(project.found(), []);
}

#[test]
fn handlers_by_name_from_a_controller_are_followed() {
    let project = Project::new(&[
        ("controller.js", "let count = 0;\nmodule.exports = { list(q, s) { count++; s.end(); } };\n"),
        ("index.js", "const controller = require('./controller');\napp.get('/', controller.list);\n"),
    ]);
    assert_eq!(project.found(), [at("module-counter", "controller.js", 1)]);
}

#[test]
fn registry_of_another_file_that_only_the_start_fills_is_safe() {
    let project = Project::new(&[
        (
            "registry.js",
            "const all = new Map();\nexports.register = (k, v) => all.set(k, v);\nexports.get = (k) => all.get(k);\n",
        ),
        (
            "index.js",
            "const registry = require('./registry');\nregistry.register('a', 1);\n\
                      app.get('/', (req, res) => res.json(registry.get('a')));\n",
        ),
    ]);
    assert_eq!(project.found(), []);
}

#[test]
fn service_of_nest_that_a_controller_calls_is_followed() {
    let project = Project::new(&[
        (
            "cats.service.ts",
            "@Injectable()\nexport class CatsService {\n  private cats = [];\n  createCat(cat) { this.cats.push(cat); }\n}\n",
        ),
        (
            "cats.controller.ts",
            "@Controller('cats')\nexport class CatsController {\n  constructor(private service: CatsService) {}\n  \
                                @Post()\n  create(dto) { this.service.createCat(dto); }\n}\n",
        ),
    ]);
    assert_eq!(project.found(), [at("module-state", "cats.service.ts", 3)]);
}

#[test]
fn signals_are_asked_for_once_per_package() {
    let project = Project::new(&[
        ("a/package.json", "{}"),
        ("a/server.js", "app.listen(process.env.PORT);\n"),
        ("a/stop.js", "process.on('SIGINT', stop);\n"),
        ("b/package.json", "{}"),
        ("b/server.js", "app.listen(process.env.PORT);\nadmin.listen(process.env.ADMIN_PORT);\n"),
    ]);
    assert_eq!(project.found(), [at("shutdown-signal", "b/server.js", 1)]);
}

#[test]
fn wait_ready_needs_somebody_who_sends_ready() {
    let ecosystem = "module.exports = { apps: [{ script: 'server.js', wait_ready: true }] };\n";
    let silent = Project::new(&[("ecosystem.config.js", ecosystem), ("server.js", "require('./app');\n")]);
    assert_eq!(silent.found(), [at("wait-ready", "ecosystem.config.js", 1)]);
    let ready =
        Project::new(&[("ecosystem.config.js", ecosystem), ("server.js", "process.send?.('ready');\n")]);
    assert_eq!(ready.found(), []);
}

#[test]
fn wait_ready_counts_in_either_form_in_a_file_of_pm2_and_nowhere_else() {
    let camel = "module.exports = { apps: [{ script: 'server.js', waitReady: true }] };\n";
    let server = ("server.js", "require('./app');\n");
    let project = Project::new(&[("ecosystem.config.js", camel), server]);
    assert_eq!(project.found(), [at("wait-ready", "ecosystem.config.js", 1)]);
    let other = Project::new(&[("options.js", camel), server]);
    assert_eq!(other.found(), []);
}

#[test]
fn wait_ready_of_a_nodeapp_counts_too() {
    let manifest =
        "apiVersion: nodeapp.dev/v1alpha1\nkind: NodeApp\nspec:\n  script: server.js\n  waitReady: true\n";
    let project = Project::new(&[("deploy.yaml", manifest), ("server.js", "require('./app');\n")]);
    assert_eq!(project.found(), [at("wait-ready", "deploy.yaml", 5)]);
}

#[test]
fn adapter_in_another_file_of_the_package_is_enough() {
    let project = Project::new(&[
        (
            "io.js",
            "const { Server } = require('socket.io');\nmodule.exports = new Server(server, { transports: ['websocket'] });\n",
        ),
        ("setup.js", "const io = require('./io');\nio.adapter(createAdapter(a, b));\n"),
    ]);
    assert_eq!(project.found(), []);
}

const STATE: &str = "const seen = {};\napp.get('/', (req, res) => { seen[req.ip] = 1; res.end(); });\n";

#[test]
fn tests_built_files_declarations_and_packages_are_left_out_unless_asked_for() {
    let project = Project::new(&[
        ("src/a.js", "1;\n"),
        ("test/a.js", STATE),
        ("src/a.test.js", STATE),
        ("dist/a.js", STATE),
        ("src/a.min.js", STATE),
        ("src/a.d.ts", "export const a: number;\n"),
        ("node_modules/x/index.js", STATE),
    ]);
    assert_eq!(project.found(), []);
    let all = project.audit_with(&Options { include_tests: true, include_built: true, ..Options::default() });
    assert_eq!(all.files, 5, "{all:?}");
    assert_eq!(all.findings.len(), 4);
}

#[test]
fn gitignore_is_obeyed_without_a_repository_too() {
    let project =
        Project::new(&[(".gitignore", "generated/\n"), ("generated/a.js", STATE), ("b.js", "1;\n")]);
    assert_eq!(project.found(), []);
}

#[test]
fn package_in_node_modules_is_audited_if_it_is_named() {
    let project = Project::new(&[("node_modules/x/index.js", STATE)]);
    let findings = audit(&[project.path().join("node_modules/x")], &Options::default()).unwrap();
    assert_eq!(findings.findings.len(), 1);
}

/// The only note, as file and text.
fn note(project: &Project) -> (PathBuf, Option<u32>, String) {
    let findings = project.audit();
    assert_eq!(findings.findings.len(), 1, "the good file is audited all the same: {findings:?}");
    let [note] = findings.notes.as_slice() else { panic!("one note is expected: {:?}", findings.notes) };
    (project.short(&note.file), note.line, note.message.clone())
}

#[test]
fn file_that_does_not_parse_is_told_with_its_line() {
    let project = Project::new(&[("good.js", STATE), ("bad.js", "const a = 1;\nconst b = ;\n")]);
    let (file, line, message) = note(&project);
    assert_eq!((file.as_path(), line), (Path::new("bad.js"), Some(2)));
    assert!(message.contains("does not parse"), "{message}");
}

#[test]
fn large_binary_and_foreign_encodings_are_told() {
    let large = Project::new(&[("good.js", STATE)]);
    large.write("large.js", &vec![b' '; 10 << 20]);
    assert!(note(&large).2.contains("10 MiB is more than the 1 MiB"), "{:?}", note(&large));

    let binary = Project::new(&[("good.js", STATE)]);
    binary.write("binary.js", b"\x7fELF\0\0");
    assert!(note(&binary).2.contains("binary"), "{:?}", note(&binary));

    let latin = Project::new(&[("good.js", STATE)]);
    latin.write("latin.js", b"const a = 1;\n// caf\xe9\n");
    assert!(note(&latin).2.contains("not UTF-8 from line 2 on"), "{:?}", note(&latin));

    let wide = Project::new(&[("good.js", STATE)]);
    wide.write("wide.js", b"\xff\xfea\0");
    assert!(note(&wide).2.contains("UTF-16"), "{:?}", note(&wide));
}

#[test]
fn minified_file_is_told() {
    let project = Project::new(&[("good.js", STATE)]);
    project.write("app.js", "a(1);".repeat(5000).as_bytes());
    assert!(note(&project).2.contains("minified"));
}

#[test]
fn link_that_loops_is_told() {
    let project = Project::new(&[("good.js", STATE)]);
    std::fs::create_dir(project.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("..", project.path().join("folder/up")).unwrap();
    let (file, _, message) = note(&project);
    assert_eq!(file, Path::new("folder/up"));
    assert!(message.contains("leads back to"), "{message}");
}

#[test]
fn link_to_a_file_that_is_audited_anyway_says_nothing_twice() {
    let project = Project::new(&[("good.js", STATE)]);
    std::os::unix::fs::symlink("good.js", project.path().join("same.js")).unwrap();
    assert_eq!(project.found(), [at("module-state", "good.js", 1)]);
}

#[test]
fn link_that_leads_out_of_the_folder_is_followed_once() {
    let outside = Project::new(&[("lib/shared.js", STATE)]);
    let project = Project::new(&[("good.js", STATE)]);
    for name in ["one", "two"] {
        std::os::unix::fs::symlink(outside.path().join("lib"), project.path().join(name)).unwrap();
    }
    assert_eq!(project.found(), [at("module-state", "good.js", 1), at("module-state", "one/shared.js", 1)]);
}

#[test]
fn path_that_does_not_exist_and_a_folder_without_code_are_errors() {
    let missing = audit(&[PathBuf::from("/does/not/exist")], &Options::default());
    assert!(matches!(missing, Err(AuditError::Unreadable { .. })));
    let empty = Project::new(&[("README.md", "text")]);
    let nothing = audit(&[empty.path().to_owned()], &Options::default());
    assert!(matches!(nothing, Err(AuditError::NothingToAudit { .. })));
}

#[test]
fn number_of_threads_does_not_change_the_result() {
    let files: Vec<(String, String)> = (0..40)
        .map(|number| (format!("f{number}.js"), STATE.replace("seen", &format!("seen{number}"))))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    let project = Project::new(&files);
    let one = project.audit_with(&Options { threads: 1, ..Options::default() });
    let four = project.audit_with(&Options { threads: 4, ..Options::default() });
    assert_eq!(one, four);
    assert_eq!(one.at_least(Severity::Warning), 40);
}

#[test]
fn two_runs_say_the_same_where_several_ways_lead_to_a_write() {
    let handler = |number| {
        format!(
            "function list{number}(req, res) {{ req.store.bump(); res.end(); }}\napp.get('/{number}', list{number});\n"
        )
    };
    let handlers = (0..16).map(handler).collect::<Vec<_>>().concat();
    let store = "let count = 0;\nmodule.exports = class Store { bump() { count++; } };\n";
    let project = Project::new(&[("store.js", store), ("app.js", &handlers)]);
    let told = || format!("{:?}", project.audit().findings);
    let first = told();
    assert!(first.contains("list0"), "{first}");
    for _ in 0..10 {
        assert_eq!(told(), first);
    }
}
