# Reads what cargo test printed. Without NAME: the failed tests, each as "PROGRAM TEST". With it: the test's block, of which the
# last 60 lines are told.
/^ +Running / { program = $2 == "unittests" ? $3 : $2 }
/^ +Doc-tests / { program = "doc-tests" }
/^test .* \.\.\. FAILED$/ && name == "" {
  test = $0
  sub(/^test /, "", test)
  sub(/( - should panic)? \.\.\. FAILED$/, "", test)
  print program, test
}
name == "" { next }
/^---- .* stdout ----$/ { inside = ($0 == "---- " name " stdout ----") && !found; found = found || inside }
/^failures:$/ || /^test result: / { inside = 0 }
inside { lines[++count] = $0 }
END {
  if (name == "") exit
  while (count > 0 && lines[count] == "") count--
  if (count > 0) print lines[1]
  first = count > 60 ? count - 59 : 2
  if (first > 2) printf "[%d lines before these are further up]\n", first - 2
  for (at = first; at <= count; at++) print lines[at]
}
