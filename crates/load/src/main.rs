//! `nodeapp-load`: HTTP load from inside the cluster.

use std::net::{Ipv4Addr, Ipv6Addr, TcpListener};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use nodeapp_load::stats::Stats;
use nodeapp_load::target::{Target, Token};
use nodeapp_load::workers::{self, Plan, Shared};
use nodeapp_load::{Report, client, control};

/// Sends HTTP requests at a steady pace, never one twice, and counts the ways
/// in which they fail. Prints a line per second and one line of JSON at the end.
#[derive(Parser)]
#[command(name = "nodeapp-load", version)]
struct Args {
    /// Where to, as `http://HOST:PORT/PATH`.
    url: String,
    /// Connections that are kept for many requests.
    #[arg(long, default_value_t = 8)]
    keep_alive: u32,
    /// Requests per second over all kept connections.
    #[arg(long, default_value_t = 200.0)]
    keep_alive_rate: f64,
    /// New connections per second, one request on each.
    #[arg(long, default_value_t = 50.0)]
    new_per_second: f64,
    /// Longest duration in seconds; SIGTERM, SIGINT and `/stop` end it earlier.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Milliseconds for one request, the connect included.
    #[arg(long, default_value_t = 10_000)]
    timeout_ms: u64,
    /// Seconds to wait for the first answer, before anything is counted: a
    /// Service that is new is refused until every node knows it.
    #[arg(long, default_value_t = 0)]
    await_seconds: u64,
    /// What tells answers apart: `header:NAME`, `json:FIELD` or `body`.
    #[arg(long)]
    token: Option<Token>,
    /// Port for `/report` and `/stop`; none when absent.
    #[arg(long)]
    control_port: Option<u16>,
}

fn main() -> ExitCode {
    let args = Args::parse();
    match run(&args) {
        Ok(report) => {
            println!("{}", serde_json::to_string(&report).unwrap_or_default());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            eprintln!("nodeapp-load: {problem}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<Report, String> {
    let target = Target::parse(&args.url, args.token.clone())?;
    let timeout = Duration::from_millis(args.timeout_ms);
    let address = client::await_answer(&target, timeout, Duration::from_secs(args.await_seconds))?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(|error| error.to_string())?;
    }
    let stats = Arc::new(Stats::new());
    let last = Arc::new(OnceLock::new());
    if let Some(port) = args.control_port {
        // A pod may be without IPv6.
        let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))
            .map_err(|error| format!("port {port}: {error}"))?;
        let (stats, stop, last) = (Arc::clone(&stats), Arc::clone(&stop), Arc::clone(&last));
        control::serve(listener, control::Control { stats, stop, last })
            .map_err(|error| error.to_string())?;
    }
    let plan = Plan {
        keep_alive: args.keep_alive,
        keep_alive_rate: args.keep_alive_rate,
        new_per_second: args.new_per_second,
        timeout,
    };
    let shared = Arc::new(Shared { target, address, stats: Arc::clone(&stats), stop: Arc::clone(&stop) });
    let handles = workers::start(plan, &shared).map_err(|error| error.to_string())?;
    watch(&stats, &stop, Duration::from_secs(args.seconds));
    stop.store(true, Ordering::Relaxed);
    for handle in handles {
        handle.join().map_err(|_| "a worker panicked".to_owned())?;
    }
    let report = last.get_or_init(|| stats.report(true)).clone();
    if args.control_port.is_some() {
        // The answer to `/stop` must be on its way before the process ends.
        thread::sleep(Duration::from_millis(300));
    }
    Ok(report)
}

/// Prints progress until the time is over or the load was told to stop.
fn watch(stats: &Stats, stop: &AtomicBool, limit: Duration) {
    let start = Instant::now();
    let mut printed = 0;
    while !stop.load(Ordering::Relaxed) && start.elapsed() < limit {
        thread::sleep(Duration::from_millis(20));
        let seconds = start.elapsed().as_secs();
        if seconds > printed {
            printed = seconds;
            println!("{}", progress(seconds, &stats.report(false)));
        }
    }
}

fn progress(seconds: u64, report: &Report) -> String {
    let tokens: Vec<String> = report.tokens.iter().map(|(token, count)| format!("{token}={count}")).collect();
    format!(
        "{seconds:4} s  {} answered, {} failed, {} idle-close races  {}",
        report.ok(),
        report.failed(),
        report.idle_close_race(),
        tokens.join(" ")
    )
}
