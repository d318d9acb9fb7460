# From the pieces that help.awk makes of --help to the sections of a manual page: what stands before the options
# is the description (examples that stand alone in it come last), what stands behind them are notes.
BEGIN { FS = "\t" }
function escape(s) {
    gsub(/\\/, "\\e", s)
    gsub(/-/, "\\-", s)
    gsub(/'/, "\\(aq", s)
    while (match(s, /`[^`]*`/)) # code in bold
        s = substr(s, 1, RSTART - 1) "\\fB" substr(s, RSTART + 1, RLENGTH - 2) "\\fR" substr(s, RSTART + RLENGTH)
    return s
}
function line(s) { # a full stop at the beginning would be a request
    s = escape(s)
    print (s ~ /^\./ ? "\\&" : "") s
}
function heading(name) {
    if (name != section)
        print ".SH " name
    begun = name != section # a paragraph; else .PP is wanted
    section = name
}
function paragraph() {
    if (!begun)
        print ".PP"
    begun = 0
}
{ count++; kind[count] = $1; text[count] = $2; value[count] = $3; about[count] = $4 }
$1 == "option" { if (!first) first = count; last = count }

# Lines of one kind from i on, and the one behind them.
function end_of(i,    k) {
    k = kind[i]
    while (i <= count && kind[i] == k)
        i++
    return i
}
function verbatim(i, end) {
    paragraph()
    print ".nf"
    for (; i < end; i++)
        line(text[i])
    print ".fi"
}
function option(i,    names, n, j, head) {
    n = split(text[i], names, " ")
    for (j = 1; j <= n; j++)
        head = head (j > 1 ? ", " : "") "\\fB" escape(names[j]) "\\fR" (value[i] != "" && names[j] ~ /^--/ ? " \\fI" escape(value[i]) "\\fR" : "")
    print ".TP\n" head
    line(about[i])
}
function is_example(i, end) {
    return i < first && end <= first && text[i] ~ /^mome/ && (i == 1 || kind[i - 1] == "blank")
}
END {
    print ".SH SYNOPSIS"
    for (i = 1; i <= count; i++)
        if (kind[i] == "usage")
            line(text[i])
    for (i = 1; i <= count; i = end) {
        end = end_of(i)
        if (kind[i] == "blank" || kind[i] == "usage")
            continue
        if (kind[i] == "verbatim" && is_example(i, end)) {
            example[++examples] = i
            continue
        }
        heading(i < first ? "DESCRIPTION" : i <= last ? "OPTIONS" : "NOTES")
        if (kind[i] == "option") {
            end = i + 1
            option(i)
        } else if (kind[i] == "verbatim") {
            verbatim(i, end)
        } else {
            paragraph()
            for (; i < end; i++)
                line(text[i])
        }
    }
    if (examples)
        heading("EXAMPLES")
    for (i = 1; i <= examples; i++)
        verbatim(example[i], end_of(example[i]))
}
