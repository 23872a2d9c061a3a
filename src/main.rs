//! The operator's command line.

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Parser, Subcommand};
use nodeapp_operator::controller::desired::{DEFAULT_REDIS_IMAGE, Settings};
use nodeapp_operator::operator::{self, Options};
use nodeapp_operator::telemetry::{self, LogFormat};
use nodeapp_operator::{ask, generated};

/// Runs Node.js applications on Kubernetes as PM2 would.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the operator.
    Run(Run),
    /// Print the `CustomResourceDefinition` as YAML.
    Crd,
    /// Print the `ClusterRole`, and the `Role` for the operator's own namespace, as YAML.
    Rbac {
        /// With the right to read Secrets, for `run --watch-secrets`.
        #[arg(long)]
        watch_secrets: bool,
    },
    /// Show what the operator of this pod logs, or change it until it ends.
    LogLevel {
        /// A filter in the syntax of `RUST_LOG`, such as `info,nodeapp_operator=debug`; an
        /// empty one for that of the start.
        filter: Option<String>,
        /// Where the operator listens.
        #[arg(long, default_value = "127.0.0.1:8080")]
        address: SocketAddr,
    },
    /// Wait until an operator is ready: the API is there, no right is missing, every watch has begun.
    Ready {
        /// Host and port that it listens on, such as those of its Service.
        #[arg(long, default_value = "127.0.0.1:8080")]
        address: String,
        /// For how long to wait, in seconds.
        #[arg(long, default_value_t = 30)]
        timeout: u64,
    },
    /// Print the version.
    Version,
}

#[derive(Args)]
struct Run {
    /// Image with the runner, which every pod of an app copies at its start.
    #[arg(long, env = "NODEAPP_RUNNER_IMAGE", value_parser = NonEmptyStringValueParser::new())]
    runner_image: String,
    /// Image with the forwarder, for the pods of apps whose Redis is not a sidecar.
    #[arg(
        long,
        env = "NODEAPP_FORWARDER_IMAGE",
        default_value = concat!("nodeapp/nodeapp-forwarder:", env!("CARGO_PKG_VERSION")),
        value_parser = NonEmptyStringValueParser::new()
    )]
    forwarder_image: String,
    /// Image with a Redis, for apps that ask for one and name no image: `redis-server` and
    /// `redis-cli` must be in its PATH.
    #[arg(
        long,
        env = "NODEAPP_REDIS_IMAGE",
        default_value = DEFAULT_REDIS_IMAGE,
        value_parser = NonEmptyStringValueParser::new()
    )]
    redis_image: String,
    /// Address of `/livez`, `/readyz` and `/metrics`.
    #[arg(long, env = "NODEAPP_LISTEN", default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Namespace to look after; give it several times, or with commas, for several. All
    /// if none is given, which needs a `ClusterRole` instead of Roles.
    #[arg(
        long = "namespace",
        env = "NODEAPP_NAMESPACES",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    namespaces: Vec<String>,
    /// Name of the Lease, in the operator's own namespace, that keeps a second operator
    /// from working at the same time.
    #[arg(long, env = "NODEAPP_LEASE", default_value = "nodeapp-operator")]
    lease: String,
    /// Work without a Lease. Only where it is certain that no other one runs.
    #[arg(long, env = "NODEAPP_NO_LEASE")]
    no_lease: bool,
    /// Replace pods when a Secret that their app refers to changes, as for a `ConfigMap`. It
    /// needs the right to read Secrets; only their metadata is read.
    #[arg(long, env = "NODEAPP_WATCH_SECRETS")]
    watch_secrets: bool,
    /// Secret with which the pods of all apps pull their images, the runner's too, beside those that an
    /// app names itself; give it several times, or with commas, for several. It has to be in the
    /// namespace of each app; where it is not, Kubernetes does without.
    #[arg(
        long = "image-pull-secret",
        env = "NODEAPP_IMAGE_PULL_SECRETS",
        value_delimiter = ',',
        value_parser = NonEmptyStringValueParser::new()
    )]
    image_pull_secrets: Vec<String>,
    /// How log lines look; `RUST_LOG` says how many there are.
    #[arg(long, env = "NODEAPP_LOG_FORMAT", value_enum, default_value_t)]
    log_format: LogFormat,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Run(arguments) => run(arguments),
        Command::Crd => print(&generated::crd_yaml()),
        Command::Rbac { watch_secrets } => {
            let role =
                if watch_secrets { generated::rbac_with_secrets_yaml() } else { generated::rbac_yaml() };
            print(&format!("{role}---\n{}", generated::own_role_yaml()))
        }
        Command::LogLevel { filter, address } => tell(ask::log_level(address, filter.as_deref())),
        Command::Ready { address, timeout } => tell(ask::ready(&address, Duration::from_secs(timeout))),
        Command::Version => print(concat!("nodeapp-operator ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}

fn tell(answer: Result<String, String>) -> ExitCode {
    match answer {
        Ok(text) => print(&text),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn print(text: &str) -> ExitCode {
    use std::io::Write;
    // A reader that has seen enough, such as head, is no failure.
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn run(arguments: Run) -> ExitCode {
    let log_level = telemetry::init(arguments.log_format);
    let options = Options {
        settings: Settings {
            runner_image: arguments.runner_image,
            forwarder_image: arguments.forwarder_image,
            redis_image: arguments.redis_image,
            watch_secrets: arguments.watch_secrets,
            image_pull_secrets: arguments.image_pull_secrets,
            namespace: None,
        },
        listen: arguments.listen,
        namespaces: arguments.namespaces,
        lease: (!arguments.no_lease).then_some(arguments.lease),
        log_level,
    };
    if rustls::crypto::ring::default_provider().install_default().is_err() {
        tracing::debug!("a TLS provider is there already");
    }
    // The cores of the node are not ours; two threads carry thousands of apps.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(operator::run(options)),
        Err(error) => {
            tracing::error!(%error, "cannot start threads");
            return ExitCode::FAILURE;
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}
