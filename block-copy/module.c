// SPDX-License-Identifier: GPL-2.0
/*
 * dm-block-copy: what the targets of this project stand on.  No dm glue here.
 */
#include <linux/module.h>

MODULE_DESCRIPTION("Building blocks for block-copy device-mapper targets");
MODULE_AUTHOR("The qmirror developers");
MODULE_LICENSE("GPL");
