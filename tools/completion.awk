# Writes the completion of a shell (-v shell=bash, zsh or fish) from lines with tabs between:
#     command  NAME   SUMMARY
#     option   NAMES  VALUE  DESCRIPTION       of the command above, as help.awk writes them
# What an option takes is read from its description: words where it begins with, or behind a colon names, a list of
# them ("auto, asr or vsr", "exact: ...; trim: ..."), else folders and files by the name of its value.
BEGIN { FS = "\t" }
$1 == "command" { name[++commands] = $2; summary[commands] = $3 }
$1 == "option" { command[++options] = commands; names[options] = $2; value[options] = $3; about[options] = $4 }

function words_of(d,    list, found, one) {
    gsub(/\([^)]*\)/, "", d)
    gsub(/ +,/, ",", d)
    gsub(/ +:/, ":", d)
    if (match(d, /(^|: )[a-z0-9_]+(, [a-z0-9_]+)+( or [a-z0-9_]+)?/)) {
        list = substr(d, RSTART, RLENGTH)
        sub(/^: /, "", list)
        gsub(/, | or /, " ", list)
        return list
    }
    for (d = "; " d; match(d, /; [a-z0-9_]+: /); d = substr(d, RSTART + RLENGTH)) {
        if (!found && RSTART != 1)
            return ""
        one = substr(d, RSTART + 2, RLENGTH - 4)
        list = list (found++ ? " " : "") one
    }
    return found > 1 ? list : ""
}
# words, folder, file, any (nothing to suggest), none (takes no value)
function kind_of(i) {
    if (value[i] == "")
        return "none"
    if (value[i] !~ /^(N|X|DB|I\/N|N,\.\.\.)$/ && words_of(about[i]) != "")
        return "words"
    if (value[i] ~ /^(DIR|OUT|FOLDER)$/)
        return "folder"
    return value[i] ~ /^(FILE|TSV|JSON|HTML|PATH|F|W|V|L|A)$/ ? "file" : "any"
}
# A description in a few words, without what a shell would read.
function short(d) {
    gsub(/ ?\([^)]*\)|['`\\]|\.\.\. ?/, "", d)
    if (match(d, /[.;]( |$)/))
        d = substr(d, 1, RSTART - 1)
    if (match(d, / *[:,(]/) && length(d) > 60)
        d = substr(d, 1, RSTART - 1)
    sub(/^ +/, "", d)
    return d
}
function each_name(i, before, between,    list, n, j, text) {
    n = split(names[i], list, " ")
    for (j = 1; j <= n; j++)
        text = text (j > 1 ? between : "") before list[j]
    return text
}

function bash(    c, i, all) {
    print "# bash completion of mome\n_mome()\n{"
    print "    local current=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} words= only=-f"
    print "    COMPREPLY=()\n    case \"$COMP_CWORD ${COMP_WORDS[1]} $before\" in"
    for (c = 1; c <= commands; c++)
        all = all name[c] " "
    print "    1*) words='" all "--help --version' ;;"
    for (i = 1; i <= options; i++) {
        if (kind_of(i) == "none")
            continue
        print "    " each_name(i, "*' " name[command[i]] " ", "' | ") "')"
        if (kind_of(i) == "words")
            print "        words='" words_of(about[i]) "' ;;"
        else
            print "        " (kind_of(i) == "folder" ? "only=-d" : kind_of(i) == "any" ? "return" : "only=-f") " ;;"
    }
    print "    *' -'*) ;;\n    esac"
    print "    if [[ ! $words && $current == -* ]]; then\n        case ${COMP_WORDS[1]} in"
    for (c = 1; c <= commands; c++) {
        all = ""
        for (i = 1; i <= options; i++)
            if (command[i] == c)
                all = all names[i] " "
        print "        " name[c] ") words='" all (all ~ /--help / ? "" : "--help") "' ;;"
    }
    print "        esac\n    fi"
    print "    if [[ $words ]]; then\n        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$current\")"
    print "    else\n        compopt -o filenames 2>/dev/null"
    print "        mapfile -t COMPREPLY < <(compgen $only -- \"$current\")\n    fi\n}\ncomplete -F _mome mome"
}

function zsh_words(i,    k) {
    k = kind_of(i)
    if (k == "none")
        return ""
    return ":" value_name(i) ":" (k == "words" ? "(" words_of(about[i]) ")" : k == "folder" ? "_files -/" : k == "file" ? "_files" : " ")
}
function value_name(i,    v) {
    v = value[i]
    gsub(/[^A-Za-z]/, " ", v)
    return v
}
function bracketed(s) {
    gsub(/[\[\]:]/, "\\\\&", s)
    return s
}
function zsh(    c, i) {
    print "#compdef mome\n_mome() {\n    local -a commands=("
    for (c = 1; c <= commands; c++)
        print "        '" name[c] ":" short(summary[c]) "'"
    print "    )\n    if ((CURRENT == 2)); then\n        _describe command commands\n        return\n    fi"
    print "    shift words\n    ((CURRENT--))\n    case $words[1] in"
    for (c = 1; c <= commands; c++) {
        print "    " name[c] ")\n        _arguments \\"
        for (i = 1; i <= options; i++)
            if (command[i] == c)
                print "            " (names[i] ~ / / ? "{" each_name(i, "", ",") "}" : names[i]) "'[" bracketed(short(about[i])) "]" zsh_words(i) "' \\"
        print "            '*:file:_files'\n        ;;"
    }
    print "    esac\n}\n_mome \"$@\""
}

function fish_names(i,    list, n, j, text) { # -s o -l output
    n = split(names[i], list, " ")
    for (j = 1; j <= n; j++)
        text = text (list[j] ~ /^--/ ? " -l " substr(list[j], 3) : " -s " substr(list[j], 2))
    return text
}
function fish_value(i,    k) {
    k = kind_of(i)
    if (k == "words")
        return " -x -a '" words_of(about[i]) "'"
    if (k == "folder")
        return " -x -a '(__fish_complete_directories)'"
    return k == "file" ? " -r" : k == "any" ? " -x" : ""
}
function fish(    c, i) {
    print "# fish completion of mome"
    for (c = 1; c <= commands; c++)
        print "complete -c mome -n __fish_use_subcommand -f -a " name[c] " -d '" short(summary[c]) "'"
    for (i = 1; i <= options; i++)
        print "complete -c mome -n '__fish_seen_subcommand_from " name[command[i]] "'" fish_names(i) \
            fish_value(i) " -d '" short(about[i]) "'"
}
END {
    if (shell == "bash")
        bash()
    else if (shell == "zsh")
        zsh()
    else
        fish()
}
