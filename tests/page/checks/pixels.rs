//! What is drawn on the canvases.

/// A script that returns a number for each plot over time, which differs where another picture is drawn.
pub const PICTURES: &str = "return [...document.querySelectorAll('.plot canvas')].map((canvas) => {
    const copy = Object.assign(document.createElement('canvas'), { width: canvas.width, height: canvas.height });
    const context = copy.getContext('2d', { willReadFrequently: true });
    context.drawImage(canvas, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    let sum = 0;
    for (let at = 0; at < data.length; at += 1) sum = (sum * 31 + data[at]) % 2147483647;
    return sum;
  })";

/// A script that returns the panels in which no flag of this colour is drawn at this moment.
pub fn without_flag(moment: u64, color: &str) -> String {
    format!(
        "const plots = document.getElementById('plots');
        const [from, to] = [Number(plots.dataset.from), Number(plots.dataset.to)];
        const context = (width, height) =>
          Object.assign(document.createElement('canvas'), {{ width, height }}).getContext('2d', {{ willReadFrequently: true }});
        const probe = context(1, 1);
        probe.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--{color}').trim();
        probe.fillRect(0, 0, 1, 1);
        const wanted = probe.getImageData(0, 0, 1, 1).data;
        return [...document.querySelectorAll('.plot')].filter((plot) => {{
          const canvas = plot.querySelector('canvas');
          const [over, all] = [plot.querySelector('.u-over').getBoundingClientRect(), canvas.getBoundingClientRect()];
          const x = Math.round(over.left - all.left + over.width * ({moment} - from) / (to - from));
          const copy = context(canvas.width, canvas.height);
          copy.drawImage(canvas, 0, 0);
          const area = copy.getImageData(x - 4, Math.round(over.top - all.top), 9, 6).data;
          for (let at = 0; at < area.length; at += 4) {{
            if ([0, 1, 2].every((part) => Math.abs(area[at + part] - wanted[part]) < 40)) return false;
          }}
          return true;
        }}).map((plot) => plot.closest('.panel').id).join(' ')"
    )
}
