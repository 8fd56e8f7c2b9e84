//! The chart: a line for each work, and on it a dot for each subject's ratio to
//! the bare calls.

use std::fmt::Write;

use crate::results::{CHART, shown};
use crate::row::Row;
use crate::subjects::{BARE, FIXED, GROWABLE, MIO, POLLING};

const SUBJECTS: [(&str, &str); 4] =
    [(GROWABLE, "#0b6e4f"), (FIXED, "#6fb98f"), (MIO, "#3465a4"), (POLLING, "#ce5c00")];

const LEFT: f64 = 300.0;
const RIGHT: f64 = 30.0;
const WIDTH: f64 = 880.0;
const TOP: f64 = 64.0;
const LINE: f64 = 22.0;
/// The axis is logarithmic: half as much and twice as much are equally far from
/// one.
const AXIS: [f64; 9] = [0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0];

fn x(ratio: f64) -> f64 {
    let [first, .., last] = AXIS;
    let part = (ratio.clamp(first, last) / first).ln() / (last / first).ln();
    LEFT + part * (WIDTH - LEFT - RIGHT)
}

#[allow(clippy::cast_precision_loss, reason = "a few dozen lines")]
pub(crate) fn chart(rows: &[Row]) -> String {
    let lines: Vec<&Row> = CHART.iter().filter_map(|work| shown(rows, work)).collect();
    let bottom = TOP + LINE * lines.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {}\" font-family=\"sans-serif\" \
         font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n\
         <text x=\"10\" y=\"20\" font-size=\"14\">Time next to the bare loop, which is 1 (left of it: less time)</text>\n",
        bottom + 24.0
    );
    for (index, (subject, colour)) in SUBJECTS.into_iter().enumerate() {
        let at = LEFT + 110.0 * index as f64;
        let _ = writeln!(
            svg,
            "<circle cx=\"{at:.1}\" cy=\"38\" r=\"5\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"42\">{subject}</text>",
            at + 10.0
        );
    }
    for tick in AXIS {
        let (at, colour) = (x(tick), if (tick - 1.0).abs() < 1e-9 { "#444444" } else { "#dddddd" });
        let _ = writeln!(
            svg,
            "<line x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{:.1}\" y2=\"{bottom:.1}\" stroke=\"{colour}\"/>\
             <text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            TOP - 8.0,
            bottom + 16.0
        );
    }
    for (index, row) in lines.iter().enumerate() {
        let y = TOP + LINE * (index as f64 + 0.5);
        let _ = writeln!(svg, "<text x=\"10\" y=\"{:.1}\">{}</text>", y + 4.0, row.work);
        // Ours on top of the others.
        for (subject, colour) in SUBJECTS.into_iter().rev() {
            let Some(ratio) = row.ratio(subject, BARE) else { continue };
            let _ = writeln!(
                svg,
                "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"{colour}\" \
                 stroke-width=\"2\"/><circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\">\
                 <title>{subject}: {:.3}</title></circle>",
                x(ratio.low),
                x(ratio.high),
                x(ratio.median),
                ratio.median
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}
