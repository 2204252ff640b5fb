// SPDX-License-Identifier: GPL-2.0
/*
 * Is the target there? And if it is not: why not.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/module.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "qmirrorctl.h"

/* Path of the module by modules.dep; "" when it is not installed. */
static void module_path(const char *release, const char *module, char *buf,
			size_t size)
{
	char *dep = xasprintf("/lib/modules/%s/modules.dep", release);
	char *ko = xasprintf("/%s.ko", module);
	FILE *f = fopen(dep, "re");
	char *line = NULL;
	size_t n = 0;

	buf[0] = '\0';
	free(dep);
	while (f && getline(&line, &n, f) >= 0) {
		line[strcspn(line, ":\n")] = '\0';
		if (strstr(line, ko)) {
			snprintf(buf, size, "/lib/modules/%s/%s", release, line);
			break;
		}
	}
	free(line);
	free(ko);
	if (f)
		fclose(f);
}

/*
 * Ask the kernel what it holds against the module. It checks the signature
 * before everything else, so what it says later does not matter.
 */
static int module_verdict(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int flags = strstr(path, ".ko.") ? MODULE_INIT_COMPRESSED_FILE : 0;
	int r;

	if (fd < 0)
		return errno;
	r = syscall(SYS_finit_module, fd, "", flags) ? errno : 0;
	close(fd);
	return r;
}

enum xit need_target(const char *target, const char *module)
{
	struct utsname u;
	char path[512];
	int eno;

	if (dm_target_version(target) == 0)
		return XIT_OK;
	uname(&u);
	module_path(u.release, module, path, sizeof(path));
	if (!path[0])
		return err_set(XIT_FAIL, ST_CHECK, ENOENT, NULL,
			       "the kernel has no %s target: %s is not built for this kernel (%s)",
			       target, module, u.release);
	eno = module_verdict(path);
	if (eno == EKEYREJECTED || eno == ENOKEY || eno == EPERM ||
	    eno == EBADMSG)
		return err_set(XIT_FAIL, ST_CHECK, eno, NULL,
			       "the kernel has no %s target: it rejected %s for its signature (Secure Boot): sign it with an enrolled key (mokutil)",
			       target, module);
	if (eno == 0 && dm_target_version(target) == 0)
		return XIT_OK;
	return err_set(XIT_FAIL, ST_CHECK, eno, NULL,
		       "the kernel has no %s target and %s cannot be loaded: try `modprobe %s` and look at dmesg",
		       target, module, module);
}
