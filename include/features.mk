# Which shape of a changed kernel function these headers have, found by name;
# included by the Kbuild file of each directory.  See compat.h.

qm_blkdev_h := $(firstword $(wildcard $(srctree)/include/linux/blkdev.h \
		$(abs_srctree)/include/linux/blkdev.h))

ifneq ($(shell grep -s -w bdev_file_open_by_dev $(qm_blkdev_h)),)
ccflags-y += -DHAVE_BDEV_FILE_OPEN
else ifneq ($(shell grep -s -w bdev_open_by_dev $(qm_blkdev_h)),)
ccflags-y += -DHAVE_BDEV_OPEN_HANDLE
endif

ifneq ($(shell grep -s -w max_hw_wzeroes_unmap_sectors $(qm_blkdev_h)),)
ccflags-y += -DHAVE_WZEROES_UNMAP
endif
