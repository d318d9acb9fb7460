# Reads what --help prints and writes it as one line for each of its pieces, with tabs between:
#     usage     TEXT                            of the command line, without "usage: "
#     text      TEXT                            a line of running text
#     verbatim  TEXT                            an indented line: an example, a row of a table
#     option    NAMES  VALUE  DESCRIPTION       NAMES and VALUE as "-o --output" and "FILE", or empty
#     blank
# An option is a line indented by two that begins with a dash; what is indented further below is the
# rest of its description.
function flush() {
    if (names != "")
        print "option\t" names "\t" value "\t" description
    names = value = description = ""
}
# Takes names and value from the front of `rest`, what stands behind them is the description.
function begin_option(rest,    token) {
    while (match(rest, /^--?[a-zA-Z0-9][a-zA-Z0-9-]*,? ?/)) {
        token = substr(rest, 1, RLENGTH)
        rest = substr(rest, RLENGTH + 1)
        gsub(/[, ]/, "", token)
        names = names (names == "" ? "" : " ") token
        # a value is in capitals, and one blank away
        if (match(rest, /^[A-Z][A-Z]*([,\/][A-Z.][A-Z.]*)*( |$)/)) {
            value = substr(rest, 1, RLENGTH)
            sub(/ $/, "", value)
            rest = substr(rest, RLENGTH + 1)
        }
    }
    sub(/^ */, "", rest)
    description = rest
}
/^usage: / { flush(); print "usage\t" substr($0, 8); next }
/^ *$/ { flush(); print "blank"; next }
/^  -/ { flush(); begin_option(substr($0, 3)); next }
/^      / && names != "" { sub(/^ */, ""); description = description " " $0; next }
/^ / { flush(); print "verbatim\t" substr($0, 3); next }
{ flush(); print "text\t" $0 }
END { flush() }
