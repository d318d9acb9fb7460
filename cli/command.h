/* The commands of `mome`. Each gets its own arguments (argv[0] is its name) and returns the exit
   code: 0 good, 1 failed (one line on stderr says why), 2 wrong usage. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include "base/error.h"

#include <stdatomic.h>

enum { EXIT_GOOD = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

int command_transcribe(int argc, char **argv);
int command_live(int argc, char **argv);
int command_prepare(int argc, char **argv);
int command_train(int argc, char **argv);
int command_evaluate(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_report(int argc, char **argv);
int command_assemble(int argc, char **argv);
int command_convert(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_doctor(int argc, char **argv);

/* "mome: MESSAGE" on stderr; EXIT_USAGE for ERROR_USAGE, else EXIT_FAILED. */
int command_failed(const struct error *err);
/* Ends a command over an option that is missing or wrong: names it and points to --help. */
int command_usage(const char *command, const char *message, const char *value);
/* The same for what getopt_long returned as ? or : (an optstring that begins with a colon). */
int command_bad_option(const char *command, int option, char **argv);
/* Option values. Each returns 0, or -1 where the text is not a number within the limits. */
int option_integer(int *value, const char *text, int low, int high);
int option_number(double *value, const char *text);

/* Ctrl-C: the first asks long work to stop tidily (interrupted() is true from then on), the second
   ends the program. */
void interrupt_install(void);
int interrupted(void);
const atomic_bool *interrupt_flag(void); /* the same as a flag */

#endif
