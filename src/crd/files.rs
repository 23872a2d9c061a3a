//! Paths of files in a spec.

use schemars::{Schema, SchemaGenerator, json_schema};

/// Schema of `writablePaths`. By hand, since a rule about the items cannot be
/// derived, and one about the list would not say which item it means.
pub(super) fn writable_paths(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 32,
        "x-kubernetes-list-type": "set",
        "items": {
            "type": "string",
            "maxLength": 1024,
            "x-kubernetes-validations": [{
                "rule": r"self.matches('^(/[^/:\\x00]+)+$') && !self.matches('/\\.\\.?(/|$)')",
                "message": "writablePaths must be absolute paths such as /app/cache, without . and .. and ':' and without / at the end",
            }],
        },
    })
}

/// Schema of the path of a log file.
pub(super) fn log_path(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "string",
        "maxLength": 1024,
        "x-kubernetes-validations": [{
            "rule": r"self.matches('^/?[^/\\x00-\\x1f]+(/[^/\\x00-\\x1f]+)*$') && !self.matches('(^|/)\\.\\.?(/|$)')",
            "message": "must be the path of a file such as app-out.log or /nodeapp/logs/app-out.log, without . and .. and without / at the end; /dev/null for none",
        }],
    })
}
