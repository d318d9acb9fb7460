/*
 * mome: speech recognition from a talking face. One command a file; results go to stdout,
 * everything else to stderr.
 */
#include "cli/command.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *summary;
} commands[] = {
    {"transcribe", command_transcribe, "the words of clips, at any rate (sound, lips or both)"},
    {"live", command_live, "what a camera and a microphone take in, as text while it is said"},
    {"evaluate", command_evaluate, "word error rates on a manifest, per task, rate and noise"},
    {"bench", command_bench, "what each rate costs on this machine, and what it is worth"},
    {"compare", command_compare, "whether two evaluations differ by more than chance"},
    {"report", command_report, "tables and figures of evaluations, as one page"},
    {"prepare", command_prepare, "any folder of clips and text, made ready for training"},
    {"train", command_train, "train a model from a configuration, or go on with it"},
    {"assemble", command_assemble, "a model out of published Whisper, AV-HuBERT and Llama files"},
    {"convert", command_convert, "any weights to one safetensors file of a chosen type"},
    {"inspect", command_inspect, "what a model folder or a file of weights holds"},
    {"doctor", command_doctor, "what of this machine is used, missing, or slow, and why"},
};

#define COMMANDS (sizeof commands / sizeof commands[0])

static atomic_bool stopping;

static void on_interrupt(int signal)
{
    (void)signal;
    if (atomic_exchange(&stopping, true))
        _exit(130);
}

void interrupt_install(void)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

int interrupted(void)
{
    return atomic_load(&stopping);
}

const atomic_bool *interrupt_flag(void)
{
    return &stopping;
}

int command_failed(const struct error *err)
{
    fprintf(stderr, "mome: %s\n", err->message);
    return err->code == ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

int command_usage(const char *command, const char *message, const char *value)
{
    fprintf(stderr, "mome %s: %s%s%s (see mome %s --help)\n", command, message, value ? ": " : "",
            value ? value : "", command);
    return EXIT_USAGE;
}

int command_bad_option(const char *command, int option, char **argv)
{
    const char letter[] = {'-', (char)optopt, 0};
    bool is_letter = option == '?' && optopt > 0 && optopt < 256;
    return command_usage(command, option == ':' ? "this option needs a value" : "unknown option",
                         is_letter ? letter : argv[optind - 1]);
}

int option_integer(int *value, const char *text, int low, int high)
{
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (errno || end == text || *end || n < low || n > high)
        return -1;
    *value = (int)n;
    return 0;
}

int option_number(double *value, const char *text)
{
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    return errno || end == text || *end || isnan(*value) ? -1 : 0;
}

static void help(FILE *to)
{
    fputs("mome: speech recognition from a talking face: sound, lips or both.\n\n"
          "usage: mome COMMAND [OPTIONS] ...\n\n",
          to);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(to, "  %-11s %s\n", commands[i].name, commands[i].summary);
    fputs("\n  --version   the version of this program\n"
          "\nTry `mome transcribe samples/*.mp4`, and `mome COMMAND --help` for each.\n",
          to);
}

/* A full disk behind stdout shows only now. */
static int finish(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    fprintf(stderr, "mome: standard output: cannot write: %s\n", strerror(errno));
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN); /* too large a file is an error of write, told like a full disk */
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help")) {
        help(stdout);
        return finish(EXIT_GOOD);
    }
    if (!strcmp(argv[1], "--version")) {
        puts("mome " MOME_VERSION);
        return finish(EXIT_GOOD);
    }
    for (size_t i = 0; i < COMMANDS; i++)
        if (!strcmp(argv[1], commands[i].name))
            return finish(commands[i].run(argc - 1, argv + 1));
    fprintf(stderr, "mome: unknown command \"%s\" (see mome --help)\n", argv[1]);
    return EXIT_USAGE;
}
