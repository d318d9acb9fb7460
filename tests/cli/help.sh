#!/bin/sh
# Every command explains itself and refuses what it does not know: exit codes 0, 2, one line.
# Usage: tests/cli/help.sh BUILD_FOLDER
set -eu
. tests/cli/setup

"$mome" --help >"$folder/help" || fail "mome --help"
grep -q '^  transcribe ' "$folder/help" || fail "mome --help lacks transcribe"
commands=$(sed -n 's/^  \([a-z]*\) .*/\1/p' "$folder/help")
for command in $commands; do
    for option in --help -h; do
        "$mome" $command $option >"$folder/out" 2>"$folder/err" || fail "$command $option"
        grep -q "^usage: mome $command" "$folder/out" || fail "$command $option lacks usage"
        [ ! -s "$folder/err" ] || fail "$command $option writes to stderr"
    done
    cp "$folder/out" "$folder/help-$command"
    awk 'length > 100 { exit 1 }' "$folder/out" || fail "$command --help is wider than 100 columns"
    refused 2 "--colour" $command --colour
    refused 2 "-x" $command -x
    case $(head -n 1 "$folder/help-$command") in
    "usage: mome $command ["*) ;; # needs no argument: would run
    *) refused 2 "see mome $command --help" $command ;;
    esac
done
# each long option that help names is known: those that take a value say that it is missing, those that don't let
# what follows be the one that is not known (nothing runs)
for command in $commands; do
    sed -n 's/^  \(--[a-z0-9-]*\) \(.\).*/\1 \2/p' "$folder/help-$command" >"$folder/options"
    [ -s "$folder/options" ] || fail "$command --help names no options"
    while read -r option value; do
        if [ -n "$value" ]; then
            refused 2 "this option needs a value: $option" $command $option
        else
            refused 2 'unknown option: --colour' $command $option --colour
        fi
    done <"$folder/options"
done
rc=0
"$mome" >"$folder/out" 2>"$folder/err" || rc=$?
[ $rc = 2 ] && grep -q '^usage' "$folder/err" || fail "mome alone"
refused 2 'unknown command "sing"' sing
refused 2 '--beam takes 1 to 256, not: 0' transcribe --beam 0 x
refused 2 '--rate takes' transcribe --rate fast x
refused 2 '--task takes' transcribe --task lips x
refused 2 '--task takes' transcribe --task , x
refused 2 '--snr takes' transcribe --snr loud x
refused 2 '--snr needs --noise FILE' transcribe --snr 0 x
refused 2 '--noise needs --snr DB' transcribe --noise x x
refused 2 '--n-best 3 needs --beam 3' transcribe --n-best 3 x
refused 2 '--max-tokens takes' transcribe --max-tokens 1e3 x
refused 2 'this option needs a value: --beam' transcribe x --beam
refused 2 '--debug-mouth takes one file' transcribe --debug-mouth y x x
refused 2 'needs --manifest' evaluate --json x
refused 2 'one configuration file' train a b
