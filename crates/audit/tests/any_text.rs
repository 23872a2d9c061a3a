//! No text makes the audit panic, and none overflows its stack.

use nodeapp_audit::{audit_source, render};
use proptest::prelude::*;

/// Pieces that lead into every rule, cut and put together anew.
const SEEDS: [&str; 14] = [
    "const session = require('express-session');\napp.use(session({ secret: 'x', store }));\n",
    "import { Server } from 'socket.io';\nconst io = new Server(server, { adapter });\n",
    "const cache = new Map();\napp.get('/', async (req, res) => { cache.set(req.path, await load()); });\n",
    "let count = 0;\nmodule.exports = { handler: (req, res) => { count += 1; delete seen[req.ip]; } };\n",
    "class A { #cache = {}; static x = new Map(); constructor() { this.y = []; } m(req, res) { this.#cache[1] = 2; } }\n",
    "export default class extends B { @Get() all() { return (this.z ??= {}); } }\n",
    "for (const wss of [new WebSocketServer({ port: 1 })]) wss.clients.forEach((c) => c.send(`${c}`));\n",
    "process.on('SIGINT', () => server.close()); setInterval(async () => { await db.query('x'); }, 5);\n",
    "fastify.route({ method: 'GET', handler: async function (request, reply) { fs.writeFileSync(`a${b}`, c); } });\n",
    "// nodeapp-audit-ignore-next-line module-state -- ä reason\nvar { a: { b = 1 }, ...rest } = await import('x');\n",
    "(0, express_1.default)().listen({ port: 3000, host: 'localhost' });\nif (a) b; else if (c) d; else e;\n",
    "type A<T> = { [K in keyof T]: T[K] extends (infer U)[] ? U : never }; enum E { a = 1 }\n",
    "const x = <div onClick={() => { seen[a] = <b>{`${1}`}</b>; }}>text</div>;\n",
    "exports.a = exports.b = void 0; Object.assign(global.x, /[/]\\/(?<n>a)/gu); label: while (1) break label;\n",
];

fn seeds() -> impl Strategy<Value = String> {
    let piece = (0..SEEDS.len(), 0..200_usize, 0..200_usize).prop_map(|(seed, from, length)| {
        let characters = SEEDS[seed].chars();
        characters.skip(from % 120).take(length).collect::<String>()
    });
    prop::collection::vec(
        prop_oneof![4 => (0..SEEDS.len()).prop_map(|it| SEEDS[it].to_owned()), 3 => piece, 1 => ".{0,20}"],
        0..8,
    )
    .prop_map(|pieces| pieces.concat())
}

fn name() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a.js", "a.mjs", "a.cjs", "a.ts", "a.tsx", "a.jsx", "a", "ecosystem.config.js"])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_is_cut_and_joined_is_audited_or_told(name in name(), source in seeds()) {
        let findings = audit_source(name, &source).unwrap();
        prop_assert!(!findings.notes.iter().any(|it| it.message.contains("the parser failed")), "{:?}", findings.notes);
        let lines = u32::try_from(source.lines().count() + 1).unwrap();
        prop_assert!(findings.findings.iter().all(|it| it.place.line <= lines));
        // What is written can be read.
        serde_json::from_str::<serde_json::Value>(&render::json(&findings)).unwrap();
        serde_json::from_str::<serde_json::Value>(&render::sarif(&findings)).unwrap();
        render::text(&findings);
    }

    #[test]
    fn any_text_at_all_is_audited_or_told(name in name(), source in "\\PC{0,300}") {
        audit_source(name, &source).unwrap();
    }
}

#[test]
fn deep_nesting_of_every_kind_ends_well() {
    let pairs = [
        ("(", ")"),
        ("[", "]"),
        ("{", "}"),
        ("`${", "}`"),
        ("a(", ")"),
        ("(function(){", "})"),
        ("<a>", "</a>"),
        ("!", ""),
        ("a=>", ""),
        ("a?a:", ""),
        ("if(a)", ""),
        ("if(a);else ", ""),
        ("new ", ""),
        ("a+", ""),
        ("a=", ""),
        ("a.", ""),
        ("a<", ""),
        ("class A extends ", "{}"),
        ("x={a:", "}"),
        ("a:", ""),
        ("await ", ""),
        ("@", ""),
        ("a()", ""),
        ("async()=>", ""),
        ("for(;;)", ""),
        ("do ", ""),
        ("typeof ", ""),
        ("\\", ""),
        ("'", ""),
        ("/", ""),
    ];
    for (open, close) in pairs {
        for close in [close, ""] {
            let source = format!("{}a{}", open.repeat(5_000), close.repeat(5_000));
            for name in ["a.js", "a.tsx", "a.ts"] {
                audit_source(name, &source).unwrap();
            }
        }
    }
}

#[test]
fn a_megabyte_of_brackets_is_refused_and_not_parsed() {
    let findings = audit_source("a.js", &"(".repeat(1 << 20)).unwrap();
    assert!(findings.notes[0].message.contains("nested more than"), "{:?}", findings.notes);
}
