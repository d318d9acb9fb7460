/* mome inspect PATH: what a model folder or a file of weights holds. */
#include "cli/inspect.h"
#include "cli/command.h"
#include "cli/session.h"
#include "text/text_json.h"

#include <getopt.h>
#include <stdio.h>

static const char help_text[] =
    "usage: mome inspect PATH [--tensors] [--json]\n\n"
    "PATH is a model folder: parts with their sizes, parameters in all and active per token (of "
    "the\n"
    "routed experts only the K chosen ones count), bytes in memory; rates; the MoME module.\n"
    "Or it is a file of weights in any format (safetensors, GGUF, PyTorch, whisper.cpp,\n"
    "CTranslate2), an index of shards, or a folder that holds one: format, what the file says,\n"
    "tensors by type, and what it can be a part of.\n\n"
    "  mome inspect models/tiny\n"
    "  mome inspect large_vox_iter5.pt --tensors\n\n"
    "  --tensors   every tensor with its type and shape\n"
    "  --json      all of it as JSON\n";

void inspect_print_tensor(const char *name, enum dtype type, int dims, const int64_t *shape)
{
    printf("    %-58s %-5s [", name, dtype_name(type));
    for (int d = 0; d < dims; d++)
        printf("%s%lld", d ? ", " : "", (long long)shape[d]);
    printf("]\n");
}

json_t *inspect_tensor_json(const char *name, enum dtype type, int dims, const int64_t *shape,
                            int64_t bytes)
{
    json_t *sides = json_array();
    for (int d = 0; d < dims; d++)
        json_array_append_new(sides, json_integer(shape[d]));
    return json_pack("{s:o, s:s, s:o, s:I}", "name", text_json(name), "type", dtype_name(type),
                     "shape", sides, "bytes", (json_int_t)bytes);
}

int command_inspect(int argc, char **argv)
{
    enum { TENSORS = 256, JSON, HELP };
    static const struct option options[] = {{"tensors", no_argument, NULL, TENSORS},
                                            {"json", no_argument, NULL, JSON},
                                            {"help", no_argument, NULL, HELP},
                                            {0}};
    struct inspect_options wanted = {0};
    struct error err = {0};
    int option;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == HELP || option == 'h') {
            fputs(help_text, stdout);
            return EXIT_GOOD;
        }
        if (option == TENSORS)
            wanted.tensors = true;
        else if (option == JSON)
            wanted.json = true;
        else
            return command_bad_option("inspect", option, argv);
    }
    if (argc - optind != 1)
        return command_usage("inspect", "takes one model folder or file of weights", NULL);
    const char *path = argv[optind];
    int rc = model_folder(path) ? inspect_model(path, &wanted, &err)
                                : inspect_weights(path, &wanted, &err);
    return rc ? command_failed(&err) : EXIT_GOOD;
}
