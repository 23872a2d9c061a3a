//! The operator's command line.

use clap::{Parser, Subcommand};

/// Runs Node.js applications on Kubernetes as PM2 would.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Print the `CustomResourceDefinition` as YAML.
    Crd,
    /// Print the `ClusterRole` as YAML.
    Rbac,
    /// Print the version.
    Version,
}

fn main() {
    match Arguments::parse().command {
        Command::Crd => print!("{}", nodeapp_operator::generated::crd_yaml()),
        Command::Rbac => print!("{}", nodeapp_operator::generated::rbac_yaml()),
        Command::Version => println!("nodeapp-operator {}", env!("CARGO_PKG_VERSION")),
    }
}
