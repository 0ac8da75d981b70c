/* What macOS tells in another way than Linux: /proc, statfs's types and /etc/machine-id have no counterparts in Node's API. */
#include "addon.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#ifdef __APPLE__
#include <dlfcn.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <uuid/uuid.h>
#endif

/* awakeTimeMs(): milliseconds since boot without the time asleep. libuv's hrtime counts sleep on macOS (mach_continuous_time). */
napi_value awake_time_ms(napi_env env, napi_callback_info info)
{
    struct timespec now;
    (void)info;
#ifdef __APPLE__
    if (clock_gettime(CLOCK_UPTIME_RAW, &now) != 0) return throw_errno(env, "CLOCK_UPTIME_RAW", errno);
#else
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) return throw_errno(env, "CLOCK_MONOTONIC", errno);
#endif
    return number(env, (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6);
}

/* userTempFolder(): the caller's own folder for temporary files, confstr(3); undefined where the system has none. */
napi_value user_temp_folder(napi_env env, napi_callback_info info)
{
    napi_value result = NULL;
    (void)info;
#ifdef __APPLE__
    char folder[PATH_MAX];
    size_t size = confstr(_CS_DARWIN_USER_TEMP_DIR, folder, sizeof folder);
    if (size > 1 && size <= sizeof folder) {
        napi_create_string_utf8(env, folder, size - 1, &result);
        return result;
    }
#endif
    napi_get_undefined(env, &result);
    return result;
}

/* isOnNetwork(folder): whether it is on another machine, statfs(2); false where the system says it by the type alone. */
napi_value is_on_network(napi_env env, napi_callback_info info)
{
    napi_value argument;
    char folder[PATH_MAX];
    size_t length;
    if (!read_arguments(env, info, 1, &argument) || !read_text(env, argument, folder, sizeof folder, &length)) return NULL;
#ifdef __APPLE__
    struct statfs facts;
    if (statfs(folder, &facts) != 0) return throw_errno(env, "statfs", errno);
    return boolean(env, (facts.f_flags & MNT_LOCAL) == 0);
#else
    return boolean(env, false);
#endif
}

/* machineId(): 32 hexadecimal digits that stay when the machine's name changes, gethostuuid(2); undefined elsewhere. */
napi_value machine_id(napi_env env, napi_callback_info info)
{
    napi_value result = NULL;
    (void)info;
#ifdef __APPLE__
    uuid_t id;
    struct timespec wait = {1, 0};
    char text[2 * sizeof id + 1];
    if (gethostuuid(id, &wait) == 0) {
        for (size_t i = 0; i < sizeof id; i++) snprintf(text + 2 * i, 3, "%02x", id[i]);
        napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
        return result;
    }
#endif
    napi_get_undefined(env, &result);
    return result;
}

/*
 * forbidKeychainDialogues(): SecKeychainSetUserInteractionAllowed(false) for this process. Found at run time: only the process that
 * asks the Keychain loads that framework.
 */
napi_value forbid_keychain_dialogues(napi_env env, napi_callback_info info)
{
    (void)info;
#ifdef __APPLE__
    void *security = dlopen("/System/Library/Frameworks/Security.framework/Security", RTLD_LAZY);
    int32_t (*allow)(unsigned char) = NULL;
    if (security != NULL) *(void **)&allow = dlsym(security, "SecKeychainSetUserInteractionAllowed");
    return boolean(env, allow != NULL && allow(0) == 0);
#else
    return boolean(env, false);
#endif
}
