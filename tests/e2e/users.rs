//! Images as they are found: with any `USER`.

use anyhow::ensure;
use serde_json::{Value, json};

use crate::app::{App, PORT};
use crate::e2e;

#[test]
fn images_with_user_root_user_node_and_a_numeric_user_all_start() {
    e2e(|namespace| async move {
        let mut apps = Vec::new();
        for user in ["root", "node", "numeric"] {
            let image = namespace.cluster().image(&format!("users.{user}"))?;
            let app = App::serving(&namespace, user, "web.js")?.with(&json!({"image": image}));
            app.apply(&namespace).await?;
            apps.push(app);
        }
        for app in apps {
            let pods = app.ready(&namespace, 1).await?;
            let answer: Value = serde_json::from_str(&namespace.pod_get(&pods[0], PORT, "/").await?)?;
            ensure!(answer["uid"] == 1000, "USER {}: {answer}", app.name);
        }
        Ok(())
    });
}
