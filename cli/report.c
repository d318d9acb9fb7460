/* mome report RESULT.json... -o report.html: tables and figures of evaluations, as one page. */
#include "base/memory.h"
#include "cli/command.h"
#include "eval/report.h"

#include <getopt.h>
#include <stdio.h>

static const char help_text[] =
    "usage: mome report RESULT.json... -o report.html [OPTIONS]\n\n"
    "One page of tables and figures from what `mome evaluate --json` wrote: error rates against\n"
    "rate, noise and computation, which experts each rate chooses, how alike the tokens are, and\n"
    "the worst clips word by word. The page needs no network and no script, and prints well.\n\n"
    "  mome evaluate --manifest test.tsv --rates all --json a.json\n"
    "  mome report a.json -o report.html\n"
    "  mome report mome-1.json mome-2.json mome-3.json lora.json -o report.html --svg figures\n\n"
    "Files whose \"name\" is the same (mome evaluate --name) are one model: several seeds are\n"
    "averaged and their spread shown, models of one rate each become one line.\n\n"
    "  -o, --output HTML   the page\n"
    "  --svg DIR           each figure there too, as an .svg file of its own, for papers\n"
    "  --title TEXT        the page's heading (default: \"Evaluation\")\n"
    "  --worst N           so many clips of each model (default 5; 0: none)\n"
    "  -h, --help          this text\n";

static int run_report(char **files, int count, const char *output,
                      const struct report_options *options, struct error *err)
{
    struct result *results = memory_new((size_t)count, sizeof *results);
    int rc = results ? 0 : error_set(err, ERROR_MEMORY, "out of memory");
    for (int i = 0; i < count && !rc; i++)
        rc = result_read(&results[i], files[i], err);
    if (!rc)
        rc = report_write(output, results, count, options, err);
    for (int i = 0; results && i < count; i++)
        result_release(&results[i]);
    memory_free(results);
    return rc;
}

int command_report(int argc, char **argv)
{
    enum { SVG = 256, TITLE, WORST };
    static const struct option options[] = {
        {"output", required_argument, NULL, 'o'},  {"svg", required_argument, NULL, SVG},
        {"title", required_argument, NULL, TITLE}, {"worst", required_argument, NULL, WORST},
        {"help", no_argument, NULL, 'h'},          {0}};
    struct report_options chosen = {.title = "Evaluation", .worst_clips = 5};
    const char *output = NULL;
    struct error err = {0};
    int option;
    while ((option = getopt_long(argc, argv, ":o:h", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        }
        if (option == 'o')
            output = optarg;
        else if (option == SVG)
            chosen.svg_folder = optarg;
        else if (option == TITLE)
            chosen.title = optarg;
        else if (option != WORST)
            return command_bad_option("report", option, argv);
        else if (option_integer(&chosen.worst_clips, optarg, 0, 64))
            return command_usage("report", "this is not a number from 0 to 64", optarg);
    }
    if (optind == argc)
        return command_usage("report", "which results? Name files of mome evaluate --json", NULL);
    if (!output)
        return command_usage("report", "where to? -o FILE.html is missing", NULL);
    return run_report(argv + optind, argc - optind, output, &chosen, &err) ? command_failed(&err)
                                                                           : EXIT_GOOD;
}
