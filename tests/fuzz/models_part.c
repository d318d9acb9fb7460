/* Published files from an enemy, of any format: whatever part they are taken for, they fill a
   network of the size that they say they have, or are refused with one line that names the file. */
#include "base/file.h"
#include "models/avhubert.h"
#include "models/llama.h"
#include "models/part.h"
#include "models/whisper.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct network {
    struct whisper whisper;
    struct avhubert avhubert;
    struct llama llama;
};

static void walk(struct network *n, enum part_kind kind, struct param_visitor *v)
{
    if (kind == PART_AUDIO)
        whisper_params(&n->whisper, v);
    else if (kind == PART_VIDEO)
        avhubert_params(&n->avhubert, v);
    else
        llama_params(&n->llama, v);
}

static void load(struct part *p, enum part_kind kind, const struct recognizer_config *config,
                 struct error *err)
{
    struct network n = {0};
    struct param_list list;
    struct param_visitor releaser;
    struct part_report report;
    int rc = kind == PART_AUDIO   ? whisper_init(&n.whisper, &config->audio, err)
             : kind == PART_VIDEO ? avhubert_init(&n.avhubert, &config->video, err)
                                  : llama_init(&n.llama, &config->llm, err);
    if (rc == 0) {
        param_list_init(&list, err);
        walk(&n, kind, &list.visitor);
        rc = part_load(p, &list, &report, err);
        if (rc == 0)
            for (int64_t i = 0; i < list.count; i++) {
                float first;
                if (list.entries[i].tensor->data)
                    parameter_read(&first, list.entries[i].tensor, 0, 1);
            }
        part_report_release(&report);
        param_list_release(&list);
    }
    param_releaser_init(&releaser);
    walk(&n, kind, &releaser);
    whisper_release(&n.whisper);
    avhubert_release(&n.avhubert);
    llama_release(&n.llama);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char folder[] = "/tmp/mome-fuzz-XXXXXX", path[64];
    struct error err = {0};
    if (!mkdtemp(folder))
        abort();
    snprintf(path, sizeof path, "%s/model.bin", folder);
    if (file_write(path, data, size, &err) != 0)
        abort();
    for (int kind = 0; kind < PART_KINDS; kind++) {
        struct recognizer_config config;
        struct part *p;
        if (part_open(&p, (enum part_kind)kind, path, &err) != 0) {
            if (!strstr(err.message, folder))
                abort();
            continue;
        }
        config_default(&config);
        if (part_config(p, &config, &err) == 0 && kind != PART_ADAPTERS)
            load(p, (enum part_kind)kind, &config, &err);
        part_close(p);
    }
    unlink(path);
    rmdir(folder);
    return 0;
}
