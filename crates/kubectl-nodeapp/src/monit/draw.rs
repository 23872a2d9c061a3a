//! The dashboard's screen.

use jiff::{SignedDuration, Timestamp};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Paragraph, Wrap};

use super::model::{Instance, Key, Model};
use crate::table::{Cell, Column, Screen, cut, table};
use crate::words::age;

/// A narrower screen shows the instances and the log alone.
const NARROW: u16 = 80;
const KEYS: &str = " ↑↓ choose   r restart in place   q quit";

const COLUMNS: [Column; 11] = [
    Column { title: "NAMESPACE", expendable: 9 },
    Column { title: "APP", expendable: 0 },
    Column { title: "ID", expendable: 0 },
    Column { title: "STATE", expendable: 0 },
    Column { title: "CPU", expendable: 2 },
    Column { title: "MEMORY", expendable: 1 },
    Column { title: "LAG", expendable: 4 },
    Column { title: "HANDLES", expendable: 6 },
    Column { title: "REQ/S", expendable: 5 },
    Column { title: "↺", expendable: 3 },
    Column { title: "UPTIME", expendable: 3 },
];

/// Draws everything; the model learns how many rows fit.
pub(crate) fn draw(frame: &mut Frame, model: &mut Model, several: bool, now: Timestamp) {
    let wide = frame.area().width >= NARROW;
    let [body, footer] = Layout::vertical([Constraint::Min(0), Constraint::Length(1)]).areas(frame.area());
    let [list, below] = Layout::vertical([Constraint::Percentage(45), Constraint::Min(0)]).areas(body);
    instances(frame, list, model, several, now);
    if wide {
        let [log, right] = Layout::horizontal([Constraint::Percentage(60), Constraint::Min(0)]).areas(below);
        let [details, events] = Layout::vertical([Constraint::Length(10), Constraint::Min(0)]).areas(right);
        logs(frame, log, model);
        facts(frame, details, model, now);
        news(frame, events, model);
    } else {
        logs(frame, below, model);
    }
    let (text, style) = if model.note.is_empty() {
        (KEYS.to_owned(), Style::new().fg(Color::DarkGray))
    } else {
        (format!(" {}", model.note), Style::new().fg(Color::Yellow))
    };
    frame.render_widget(Paragraph::new(Line::styled(text, style)), footer);
}

fn boxed(title: String) -> Block<'static> {
    Block::bordered().title(title).border_style(Style::new().fg(Color::DarkGray))
}

fn instances(frame: &mut Frame, area: Rect, model: &mut Model, several: bool, now: Timestamp) {
    let block = boxed(format!(" {} ", count(model)));
    let inner = block.inner(area);
    frame.render_widget(block, area);
    model.fit(usize::from(inner.height.saturating_sub(1)));
    let columns = if several { &COLUMNS[..] } else { &COLUMNS[1..] };
    let rows: Vec<Vec<Cell>> = model
        .visible()
        .map(|(key, instance)| {
            let cells = row(key, instance, now);
            cells.into_iter().skip(usize::from(!several)).collect()
        })
        .collect();
    let text = table(columns, &rows, Screen { width: Some(usize::from(inner.width)), colour: false });
    let mut styles = vec![Style::new().fg(Color::Cyan)];
    styles.extend(model.visible().map(|(key, instance)| {
        let style = Style::new().fg(colour(instance.state()));
        if model.selected.as_ref() == Some(key) { style.add_modifier(Modifier::REVERSED) } else { style }
    }));
    let width = usize::from(inner.width);
    let lines: Vec<Line> =
        text.lines().zip(styles).map(|(line, style)| Line::styled(format!("{line:width$}"), style)).collect();
    frame.render_widget(Paragraph::new(lines), inner);
}

fn count(model: &Model) -> String {
    if !model.listed {
        return "looking for instances …".to_owned();
    }
    let online = model.rows.values().filter(|row| row.state() == "online").count();
    format!("{} instances, {online} online", model.rows.len())
}

fn colour(state: &str) -> Color {
    match state {
        "online" => Color::Green,
        "launching" | "pending" | "ContainerCreating" | "PodInitializing" => Color::Yellow,
        "stopping" | "stopped" | "Completed" => Color::Gray,
        _ => Color::Red,
    }
}

fn row(key: &Key, instance: &Instance, now: Timestamp) -> Vec<Cell> {
    let figures = instance.figures.as_ref();
    let dash = || "-".to_owned();
    vec![
        key.namespace.clone().into(),
        key.app.clone().into(),
        instance.id.clone().into(),
        instance.state().to_owned().into(),
        instance.cpu.map_or_else(dash, |cpu| format!("{cpu:.1}%")).into(),
        figures.map_or_else(dash, |figures| mebibytes(figures.memory)).into(),
        figures.and_then(|figures| figures.lag).map_or_else(dash, |(_, p99)| milliseconds(p99)).into(),
        figures.and_then(|figures| figures.handles).map_or_else(dash, |handles| format!("{handles}")).into(),
        instance.rate.map_or_else(dash, |rate| format!("{rate:.1}")).into(),
        format!("{}", instance.restarts()).into(),
        figures
            .and_then(|figures| SignedDuration::try_from_secs_f64(figures.uptime).ok())
            .map(|uptime| now - uptime)
            .or(instance.created)
            .map_or_else(dash, |since| age(since, now))
            .into(),
    ]
}

fn logs(frame: &mut Frame, area: Rect, model: &Model) {
    let title = model.chosen().map_or_else(String::new, |(key, _)| format!(" log of {} ", key.pod));
    let block = boxed(title);
    let inner = block.inner(area);
    let (width, height) = (usize::from(inner.width), usize::from(inner.height));
    let skip = model.lines.len().saturating_sub(height);
    let lines: Vec<Line> = model.lines.iter().skip(skip).map(|line| Line::raw(cut(line, width))).collect();
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

fn facts(frame: &mut Frame, area: Rect, model: &Model, now: Timestamp) {
    let Some((key, instance)) = model.chosen() else {
        frame.render_widget(boxed(String::new()), area);
        return;
    };
    let mut lines = vec![
        format!("image    {}", instance.image),
        format!("node     {}", instance.node),
        format!("pod age  {}", instance.created.map_or_else(String::new, |at| age(at, now))),
    ];
    if let Some(figures) = &instance.figures {
        lines.extend(figures.node.iter().map(|version| format!("Node.js  {version}")));
        lines.extend(
            figures
                .lag
                .map(|(p50, p99)| format!("lag      p50 {}, p99 {}", milliseconds(p50), milliseconds(p99))),
        );
        lines.extend(
            figures.heap.map(|(used, limit)| format!("heap     {} of {}", mebibytes(used), mebibytes(limit))),
        );
        lines.extend(figures.in_flight.map(|count| format!("open     {count} requests")));
        lines.extend(figures.custom.iter().map(|(name, value, unit)| format!("{name}: {value} {unit}")));
    }
    let lines: Vec<Line> = lines.into_iter().map(Line::raw).collect();
    frame.render_widget(Paragraph::new(lines).block(boxed(format!(" {} ", key.app))), area);
}

fn news(frame: &mut Frame, area: Rect, model: &Model) {
    let lines: Vec<Line> = model.events.iter().map(|line| Line::raw(line.clone())).collect();
    let text = Paragraph::new(lines).wrap(Wrap { trim: false }).block(boxed(" Events ".to_owned()));
    frame.render_widget(text, area);
}

fn mebibytes(bytes: f64) -> String {
    format!("{:.1}Mi", bytes / 1024.0 / 1024.0)
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1}ms", seconds * 1_000.0)
}

#[cfg(test)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::super::figures::Figures;
    use super::super::model::tests::model;
    use super::super::model::{Model, Press};
    use super::*;

    fn screen(model: &mut Model, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        let now = "2026-11-23T22:30:00Z".parse().expect("a time");
        terminal.draw(|frame| draw(frame, model, false, now)).expect("a screen");
        let buffer = terminal.backend().buffer();
        let line = |y: u16| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| line(y).trim_end().to_owned()).collect()
    }

    #[test]
    fn instances_their_figures_log_and_events_are_on_one_screen() {
        let mut model = model(3);
        let key = model.selected.clone().expect("a row");
        let figures = Figures {
            memory: 52_428_800.0,
            restarts: 2.0,
            status: 1.0,
            uptime: 7_300.0,
            lag: Some((0.0004, 0.0123)),
            handles: Some(7.0),
            custom: vec![("Queue length".into(), 3.0, "jobs".into())],
            ..Figures::default()
        };
        model.learn(&key, figures, "2026-11-23T22:29:00Z".parse().expect("a time"));
        model.hear("listening on port 3000");
        model.events.push("3m  Pulled: Container image".into());
        let text = screen(&mut model, 120, 30).join("\n");
        for part in [
            "3 instances, 2 online",
            "web  0000  online     -    50.0Mi  12.3ms  7        -      3  2h",
            "web  0001  launching",
            "log of web-7d-0000",
            "listening on port 3000",
            "Queue length: 3 jobs",
            "3m  Pulled",
            "restart in place",
        ] {
            assert!(text.contains(part), "{part} is not in\n{text}");
        }
    }

    #[test]
    fn forty_columns_show_what_matters_most_and_a_thousand_instances_scroll() {
        let mut model = model(1_000);
        model.press(Press::Last);
        let lines = screen(&mut model, 40, 20);
        let text = lines.join("\n");
        assert!(text.contains("0999  online"), "{text}");
        assert!(!text.contains("HANDLES") && text.contains("log of web-7d-0999"), "{text}");
        screen(&mut model, 5, 2);
    }
}
