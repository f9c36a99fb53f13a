#pragma once

#include <errno.h>
#include <seccomp.h>

// SCMP_ACT_ERRNO is a function-like macro, which Swift cannot import.
static inline uint32_t clibseccomp_refuse(void) { return SCMP_ACT_ERRNO(EPERM); }
static inline uint32_t clibseccomp_deny_existence(void) { return SCMP_ACT_ERRNO(ENOSYS); }
