/* The device: our own VkInstance, VkDevice and queue, imported into the library. So the queue is ours, and our peak
 * kernels run on the very device that the library's kernels run on.
 * SPDX-License-Identifier: MIT */
#include "system.h"
#include "vk.h"

#include <stdlib.h>
#include <string.h>

#define MAX_DEVICES 32

/* Keeps an error for the line of the case that it spoils. */
static void on_log(void *user, vka_log_level level, const char *item, const char *message) {
    bench_device *d = user;
    if (level == VKA_LOG_ERROR) {
        snprintf(d->error, sizeof d->error, "%s: %s", item, message);
    } else {
        bench_note("vkattn-bench: warning: %s: %s", item, message);
    }
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

/* Why there is no device, as the library puts it: a text of REASON_SIZE. */
#define REASON_SIZE 256
static void keep_reason(void *user, vka_log_level level, const char *item, const char *message) {
    if (level == VKA_LOG_ERROR) {
        snprintf(user, REASON_SIZE, "%s", message);
    } else {
        bench_note("vkattn-bench: warning: %s: %s", item, message);
    }
}

static uint32_t enumerate(vka_device_caps *caps) {
    uint32_t count = 0;
    char reason[REASON_SIZE] = "no Vulkan device: the drivers that are installed list none that fits";
    vka_device_desc desc = {.log = {.fn = keep_reason, .user = reason}};
    vka_status status = vka_device_enumerate(&desc, caps, MAX_DEVICES, &count);
    if (status != VKA_OK || count == 0) {
        bench_note("vkattn-bench: %s", reason);
        return 0;
    }
    return count < MAX_DEVICES ? count : MAX_DEVICES;
}

static const char *yes(bool b) {
    return b ? "yes" : "no";
}

const char *bench_device_type(vka_device_type type) {
    static const char *const types[] = {"other", "integrated", "discrete", "virtual", "software"};
    return types[type <= VKA_DEVICE_CPU ? type : VKA_DEVICE_OTHER];
}

const char *bench_device_kind(vka_device_type type) {
    static const char *const kinds[] = {
        [VKA_DEVICE_OTHER] = "of no known kind",
        [VKA_DEVICE_INTEGRATED] = "integrated GPU",
        [VKA_DEVICE_DISCRETE] = "discrete GPU",
        [VKA_DEVICE_VIRTUAL] = "virtual GPU, of a virtual machine",
        [VKA_DEVICE_CPU] = "NOT A GPU: a software driver",
    };
    return type <= VKA_DEVICE_CPU ? kinds[type] : kinds[VKA_DEVICE_OTHER];
}

void bench_device_introduce(const vka_device_caps *c) {
    printf("device   ");
    bench_wrap(stdout, c->name, 9, 9, 80);
    printf("driver   ");
    bench_wrap(stdout, c->driver, 9, 9, 80);
    if (c->type == VKA_DEVICE_CPU) {
        printf("%s", bench_style(BENCH_WARNING));
        printf("kind     NOT A GPU: the CPU pretends to be one, by a software driver.\n"
               "         These times say nothing about how fast any GPU is.%s\n",
               bench_style(BENCH_PLAIN));
    } else {
        printf("kind     %s\n", bench_device_kind(c->type));
    }
    if (!c->timestamps) {
        printf("clock    the wall clock, since the device has no timestamps\n");
    }
}

static void print_device(uint32_t number, const vka_device_caps *c) {
    char memory[BENCH_NUMBER_SIZE], range[BENCH_NUMBER_SIZE];
    printf("%u: %s%s%s\n", number, bench_style(BENCH_BOLD), c->name, bench_style(BENCH_PLAIN));
    printf("   driver       ");
    bench_wrap(stdout, c->driver, 16, 16, 80);
    bool software = c->type == VKA_DEVICE_CPU;
    printf("   type         %s%s%s\n", software ? bench_style(BENCH_WARNING) : "", bench_device_type(c->type),
           software ? ": not a GPU, the CPU pretends to be one" : "");
    printf("%s", software ? bench_style(BENCH_PLAIN) : "");
    printf("   id           vendor 0x%04x, device 0x%04x, Vulkan %u.%u.%u\n", c->vendor_id, c->device_id,
           VK_API_VERSION_MAJOR(c->api_version), VK_API_VERSION_MINOR(c->api_version),
           VK_API_VERSION_PATCH(c->api_version));
    printf("   memory       %s%s, storage range %s, alignment %u\n", bench_size_text((double)c->memory_bytes, memory),
           c->unified_memory ? " (mapped)" : "", bench_size_text((double)c->storage_range, range), c->storage_align);
    printf("   workgroup    %u invocations, %u KiB shared, subgroup %u (%u .. %u)\n", c->max_invocations,
           c->shared_bytes / 1024, c->subgroup_size, c->subgroup_min, c->subgroup_max);
    printf("   f16          storage %s, arithmetic %s, dot products %s\n", yes(c->f16_storage), yes(c->f16_arithmetic),
           yes(c->f16_mixed_dot));
    printf("   other        subgroup arithmetic %s, 64-bit integers %s, timestamps %s\n", yes(c->subgroup_arithmetic),
           yes(c->int64), yes(c->timestamps));
}

bench_exit bench_devices_print(void) {
    vka_device_caps *caps = calloc(MAX_DEVICES, sizeof *caps);
    uint32_t count = caps ? enumerate(caps) : 0;
    for (uint32_t i = 0; i < count; i++) {
        print_device(i + 1, &caps[i]);
    }
    free(caps);
    return count ? BENCH_EXIT_OK : BENCH_EXIT_NO_DEVICE;
}

/* The UUID of device `number`. */
static bool find_uuid(uint32_t number, uint8_t uuid[VK_UUID_SIZE]) {
    vka_device_caps *caps = calloc(MAX_DEVICES, sizeof *caps);
    uint32_t count = caps ? enumerate(caps) : 0;
    uint32_t index = number ? number - 1 : 0;
    if (index < count) {
        memcpy(uuid, caps[index].uuid, VK_UUID_SIZE);
    } else if (count) {
        fprintf(stderr, "vkattn-bench: --device %u: there %s (see vkattn-bench devices)\n", number,
                count == 1 ? "is only device 1" : "are not that many");
    }
    free(caps);
    return index < count;
}

/* ---- Vulkan ------------------------------------------------------------------------------------------------------ */

static bool load_loader(bench_device *d) {
    d->loader = bench_system_vulkan();
    if (d->loader) {
        void *symbol = bench_system_symbol(d->loader, "vkGetInstanceProcAddr");
        memcpy(&d->vk.GetInstanceProcAddr, &symbol, sizeof symbol); /* ISO C has no cast to a function pointer */
    }
    return d->vk.GetInstanceProcAddr != NULL;
}

#define GLOBAL(d, name) PFN_vk##name name = (PFN_vk##name)(d)->vk.GetInstanceProcAddr(NULL, "vk" #name)

/* Some implementations are only listed by an instance that asks for them. */
static bool has_portability(const bench_device *d) {
    GLOBAL(d, EnumerateInstanceExtensionProperties);
    VkExtensionProperties list[128];
    uint32_t count = sizeof list / sizeof list[0];
    if (!EnumerateInstanceExtensionProperties || EnumerateInstanceExtensionProperties(NULL, &count, list) < 0) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(list[i].extensionName, VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME) == 0) {
            return true;
        }
    }
    return false;
}

static bool create_instance(bench_device *d) {
    GLOBAL(d, CreateInstance);
    GLOBAL(d, EnumerateInstanceVersion);
    uint32_t version = VK_API_VERSION_1_0;
    if (EnumerateInstanceVersion) {
        EnumerateInstanceVersion(&version);
    }
    d->api_version = version < VK_API_VERSION_1_3 ? version : VK_API_VERSION_1_3;
    const char *portability = VK_KHR_PORTABILITY_ENUMERATION_EXTENSION_NAME;
    bool portable = has_portability(d);
    VkApplicationInfo app = {
        .sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
        .pApplicationName = "vkattn-bench",
        .apiVersion = d->api_version,
    };
    VkInstanceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
        .flags = portable ? VK_INSTANCE_CREATE_ENUMERATE_PORTABILITY_BIT_KHR : 0,
        .pApplicationInfo = &app,
        .enabledExtensionCount = portable ? 1 : 0,
        .ppEnabledExtensionNames = &portability,
    };
    if (!CreateInstance || CreateInstance(&info, NULL, &d->instance) != VK_SUCCESS) {
        return false;
    }
    bool complete = true;
#define X(name)                                                                                                        \
    d->vk.name = (PFN_vk##name)d->vk.GetInstanceProcAddr(d->instance, "vk" #name);                                     \
    complete = complete && d->vk.name;
    BENCH_VK_INSTANCE_FUNCTIONS(X)
#undef X
    return complete;
}

static bool find_physical(bench_device *d, const uint8_t uuid[VK_UUID_SIZE]) {
    VkPhysicalDevice list[MAX_DEVICES];
    uint32_t count = MAX_DEVICES;
    if (d->vk.EnumeratePhysicalDevices(d->instance, &count, list) < 0) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        VkPhysicalDeviceIDProperties id = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES};
        VkPhysicalDeviceProperties2 p = {.sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &id};
        d->vk.GetPhysicalDeviceProperties2(list[i], &p);
        if (memcmp(id.deviceUUID, uuid, VK_UUID_SIZE) == 0) {
            d->physical = list[i];
            d->timestamp_ns = p.properties.limits.timestampPeriod;
            return true;
        }
    }
    return false;
}

/* The first family with compute; its timestamps time our own kernels. */
static bool find_family(bench_device *d) {
    VkQueueFamilyProperties families[16];
    uint32_t count = 0, most = sizeof families / sizeof families[0];
    d->vk.GetPhysicalDeviceQueueFamilyProperties(d->physical, &count, NULL);
    count = count < most ? count : most;
    d->vk.GetPhysicalDeviceQueueFamilyProperties(d->physical, &count, families);
    for (uint32_t i = 0; i < count; i++) {
        if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
            d->family = i;
            d->timestamp_bits = families[i].timestampValidBits;
            return true;
        }
    }
    return false;
}

/* Enables everything that the library can use. */
static bool create_device(bench_device *d, vka_vulkan_optional_features *optional) {
    if (vka_vulkan_query(d->vk.GetInstanceProcAddr, d->instance, d->api_version, d->physical, optional) != VKA_OK) {
        return false;
    }
    VkPhysicalDeviceFeatures core;
    d->vk.GetPhysicalDeviceFeatures(d->physical, &core);
    optional->shader_int64 = core.shaderInt64;
    core = (VkPhysicalDeviceFeatures){.shaderInt64 = optional->shader_int64};
    vka_vulkan_feature_chain features;
    VkDeviceQueueCreateInfo queue = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
        .queueFamilyIndex = d->family,
        .queueCount = 1,
        .pQueuePriorities = &(float){1},
    };
    VkDeviceCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
        .pNext = vka_vulkan_features(optional, &features, NULL),
        .queueCreateInfoCount = 1,
        .pQueueCreateInfos = &queue,
        .enabledExtensionCount = optional->extension_count,
        .ppEnabledExtensionNames = optional->extensions,
        .pEnabledFeatures = &core,
    };
    return d->vk.CreateDevice(d->physical, &info, NULL, &d->device) == VK_SUCCESS;
}

static bool load_device(bench_device *d) {
    bool complete = true;
#define X(name)                                                                                                        \
    d->vk.name = (PFN_vk##name)d->vk.GetDeviceProcAddr(d->device, "vk" #name);                                         \
    complete = complete && d->vk.name;
    BENCH_VK_DEVICE_FUNCTIONS(X)
#undef X
    if (complete) {
        d->vk.GetDeviceQueue(d->device, d->family, 0, &d->queue);
    }
    return complete;
}

static vka_device *import(bench_device *d, PFN_vkGetInstanceProcAddr loader, const char *tuning) {
    vka_device *device = NULL;
    vka_import_desc desc = {
        .get_instance_proc_addr = loader,
        .instance = d->instance,
        .api_version = d->api_version,
        .physical_device = d->physical,
        .device = d->device,
        .queue_family = d->family,
        .queue = d->queue,
        .enabled = d->enabled,
        .tuning_file = tuning,
        .log = {.fn = on_log, .user = d},
    };
    return vka_device_import(&desc, &device) == VKA_OK ? device : NULL;
}

vka_device *bench_device_import(bench_device *d, PFN_vkGetInstanceProcAddr loader) {
    return import(d, loader, NULL);
}

/* ---- public ------------------------------------------------------------------------------------------------------ */

/* What could not be done; NULL when everything was. */
static const char *open_steps(bench_device *d, const uint8_t uuid[VK_UUID_SIZE], const char *tuning) {
    if (!load_loader(d)) {
        return "the Vulkan loader can't be opened";
    }
    if (!create_instance(d)) {
        return "vkCreateInstance failed";
    }
    if (!find_physical(d, uuid) || !find_family(d)) {
        return "the device has vanished or has no compute queue";
    }
    if (!create_device(d, &d->enabled) || !load_device(d)) {
        return "vkCreateDevice failed";
    }
    d->vka = import(d, d->vk.GetInstanceProcAddr, tuning);
    return d->vka ? NULL : "the library refused it";
}

bench_device *bench_device_open(uint32_t number, const char *tuning) {
    uint8_t uuid[VK_UUID_SIZE];
    if (!find_uuid(number, uuid)) {
        return NULL;
    }
    bench_device *d = calloc(1, sizeof *d);
    const char *failed = d ? open_steps(d, uuid, tuning) : "out of memory";
    if (failed) {
        bench_note("vkattn-bench: device %u can't be used: %s", number ? number : 1,
                   d && *d->error ? d->error : failed);
        bench_device_close(d);
        return NULL;
    }
    return d;
}

void bench_device_close(bench_device *d) {
    if (!d) {
        return;
    }
    vka_device_destroy(&d->vka);
    if (d->device && d->vk.DestroyDevice) {
        d->vk.DestroyDevice(d->device, NULL);
    }
    if (d->instance && d->vk.DestroyInstance) {
        d->vk.DestroyInstance(d->instance, NULL);
    }
    if (d->loader) {
        bench_system_unload(d->loader);
    }
    free(d);
}

vka_device *bench_device_vka(const bench_device *d) {
    return d->vka;
}

const vka_device_caps *bench_device_caps(const bench_device *d) {
    return vka_device_get_caps(d->vka);
}

const char *bench_device_error(const bench_device *d) {
    return d->error;
}

void bench_device_clear_error(bench_device *d) {
    d->error[0] = '\0';
}

bench_state bench_device_state(const bench_device *d, vka_status status, char *reason, size_t size) {
    const char *said = bench_device_error(d);
    snprintf(reason, size, "%s", *said ? said : vka_status_string(status));
    return status == VKA_OK ? BENCH_DONE : status == VKA_UNSUPPORTED ? BENCH_SKIPPED : BENCH_FAILED;
}
