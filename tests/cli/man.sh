#!/bin/sh
# The manual pages are well-formed and name the options that --help names, each of them; so do the completions.
# Usage: tests/cli/man.sh BUILD_FOLDER
set -eu
. tests/cli/setup
build=$(realpath "$1")
tools/make-man.sh "$build" "$folder/man"
tools/make-completions.sh "$build" "$folder/completions"
commands=$("$mome" --help | sed -n 's/^  \([a-z]*\) .*/\1/p')

# options PROGRAM [COMMAND]: names of options that begin a line of --help
options() {
    "$@" --help | grep -o '^  -.*' | sed 's/   *[^ -].*//' | grep -oE -- '(^|[ ,])--?[a-z0-9][a-z0-9-]*' |
        tr -d ' ,' | sort -u
}
# the same of a page: heads of .TP in bold
page_options() {
    sed -n '/^\.SH OPTIONS/,/^\.SH EXIT/{/^\.TP/{n;p}}' "$1" | grep -o '\\fB[^\\]*\(\\-[^\\]*\)*' |
        sed 's/\\fB//; s/\\-/-/g' | grep '^-' | sort -u
}
check_page() { # PAGE PROGRAM [COMMAND]
    page=$folder/man/$1.1
    shift
    [ -s "$page" ] || fail "no page $page"
    options "$@" >"$folder/told"
    page_options "$page" >"$folder/written"
    cmp "$folder/told" "$folder/written" || fail "$*: $(diff "$folder/told" "$folder/written")"
    for section in NAME SYNOPSIS DESCRIPTION 'EXIT STATUS' ENVIRONMENT 'SEE ALSO'; do
        grep -q "^\.SH $section\$" "$page" || fail "$page: no $section"
    done
    if command -v mandoc >/dev/null; then
        mandoc -Tlint -W warning "$page" >"$folder/out" || fail "$(cat "$folder/out")"
    fi
    if command -v man >/dev/null; then
        MANWIDTH=80 man --warnings -l "$page" >"$folder/out" 2>"$folder/err" || fail "man: $(cat "$folder/err")"
        [ ! -s "$folder/err" ] && grep -q '^NAME' "$folder/out" || fail "man: $(cat "$folder/err")"
    fi
}
check_page mome "$mome"
for command in $commands; do
    check_page "mome-$command" "$mome" "$command"
    options "$mome" "$command" >"$folder/told"
    while read -r option; do
        letter=$(echo "$option" | sed -n 's/^-\([a-z]\)$/-s \1 /p')
        fish="-n '__fish_seen_subcommand_from $command'.* ${letter:--l ${option#--} }"
        grep -q -- "$fish" "$folder/completions/mome.fish" || fail "fish: $command $option"
        sed -n "/^    $command)/,/;;/p" "$folder/completions/_mome" | grep -q -- "[ {,]$option['},]" ||
            fail "zsh: $command $option"
        grep -q -- "^        $command) words='\(.* \)*$option[ ']" "$folder/completions/mome" || fail "bash: $command $option"
    done <"$folder/told"
done
check_page mome-synth "$build/mome-synth"

cat >"$folder/complete" <<'END'
. "$1"
expect() { # WORDS, of which the last is begun: what it may become
    COMP_WORDS=($1) COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    [ "${1% }" = "$1" ] || COMP_WORDS+=("") COMP_CWORD=$((COMP_CWORD + 1))
    _mome
    [ "${COMPREPLY[*]}" = "$2" ] || echo "'$1' becomes '${COMPREPLY[*]}', not '$2'"
}
expect 'mome tran' 'transcribe'
expect 'mome transcribe --ta' '--task'
expect 'mome transcribe --task ' 'auto asr vsr avsr'
expect 'mome evaluate --task a' 'auto asr avsr'
expect 'mome transcribe --audio-window ' 'exact trim'
expect 'mome prepare --format l' 'lrs'
expect 'mome prepare --streams ' 'both sound lips'
expect 'mome assemble --mome ' 'none mhsa ffn layer'
expect 'mome convert --type q' 'q8_0 q4_0'
expect 'mome report -' '-o --output --svg --title --worst -h --help'
expect 'mome transcribe samples/000003' 'samples/000003.mp4'
expect 'mome transcribe --model mod' 'models'
expect 'mome transcribe --beam ' ''
END
bash -n "$folder/completions/mome" || fail "bash: syntax"
bash "$folder/complete" "$folder/completions/mome" >"$folder/out" 2>&1
[ ! -s "$folder/out" ] || fail "bash: $(cat "$folder/out")"
command -v zsh >/dev/null && { zsh -n "$folder/completions/_mome" || fail "zsh: syntax"; }
if command -v fish >/dev/null; then
    HOME=$folder fish -c "source $folder/completions/mome.fish; complete -C 'mome transcribe --task v'" >"$folder/out"
    [ "$(cut -f 1 "$folder/out")" = vsr ] || fail "fish: $(cat "$folder/out")"
fi
