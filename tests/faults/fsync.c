/* Makes every fsync, and every write to a file opened for synchronous writing, fail with EIO while the file that
   FAULTS_FSYNC names is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static int failing(void) {
    const char *control = getenv("FAULTS_FSYNC");
    if (control == NULL || access(control, F_OK) != 0) return 0;
    errno = EIO;
    return 1;
}

static int synchronous(int fd) {
    int flags = fcntl(fd, F_GETFL);
    return flags != -1 && (flags & (O_DSYNC | O_SYNC)) != 0;
}

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

int fsync(int fd) { return failing() ? -1 : REAL(int, "fsync", int)(fd); }

int fdatasync(int fd) { return failing() ? -1 : REAL(int, "fdatasync", int)(fd); }

int msync(void *start, size_t length, int flags) {
    return failing() ? -1 : REAL(int, "msync", void *, size_t, int)(start, length, flags);
}

/* The bytes get into the page cache all the same, as they do when the disk fails. */
ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    ssize_t written = REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)(fd, bytes, count, offset);
    return synchronous(fd) && failing() ? -1 : written;
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t offset) {
    ssize_t written = REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t)(fd, bytes, count, offset);
    return synchronous(fd) && failing() ? -1 : written;
}
