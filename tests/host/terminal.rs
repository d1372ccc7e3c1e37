//! A person at a terminal: a real pseudo-terminal of script(1), and what is typed at each prompt.

use crate::harness::{Host, Out};

/// Runs a command on a terminal and types each answer once its prompt is there; the same prompt again means its next
/// appearance. An answer is what printf(1) takes: `\003` is Ctrl-C, `\004` the end of input. The output is what the terminal
/// showed, with the terminal's settings afterwards in the last line.
pub fn dialogue(host: &Host, command: &str, answers: &[(&str, &str)]) -> Out {
    let mut script = format!(
        "cd /root; rm -f keys seen; mkfifo keys; : > seen
         TERM=xterm timeout 40 script -qefc '{command}; code=$?; stty -a | grep -o \" -\\{{0,1\\}}echo \"; exit $code' seen < keys > /dev/null & exec 3> keys\n"
    );
    let mut times: std::collections::BTreeMap<&str, usize> = std::collections::BTreeMap::new();
    for (prompt, answer) in answers {
        let time = times.entry(prompt).or_default();
        *time += 1;
        script.push_str(&format!(
            "n=0; until [ $(grep -oF '{prompt}' seen | wc -l) -ge {time} ]; do
               n=$((n + 1)); [ $n -lt 400 ] && kill -0 $! || {{ cat seen; echo 'never asked: {prompt}'; exit 99; }}
               sleep 0.05
             done; sleep 0.2; printf '{answer}' >&3\n"
        ));
    }
    script.push_str("wait $!; code=$?; exec 3>&-; cat seen; exit $code\n");
    host.sh(&script)
}
