/* `mome train --dry-run`: train/dry_run.h as tables on stdout. */
#ifndef CLI_DRY_RUN_H
#define CLI_DRY_RUN_H

#include "train/train_config.h"

#include <stdbool.h>

/* Returns the exit code. */
int dry_run_print(const struct train_config *config, bool quiet);

#endif
