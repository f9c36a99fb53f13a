// SPDX-License-Identifier: GPL-2.0
// Stands in for Hyper-V's bus where there is no Hyper-V. The bus has the name and the attributes of the kernel's own,
// and a device for each service that is offered, so that udev loads the distribution's hv_utils.ko, which binds to them.
//
// The distribution's hv_utils.ko was built against the kernel's hv_vmbus.ko and loads only if the checksums of the
// symbols that it needs are the same here. A checksum covers the types that are complete where a symbol is exported.
// So this file includes what drivers/hv/vmbus_drv.c does, channel.c what drivers/hv/channel.c does, with the includes
// of drivers/hv/hyperv_vmbus.h and hv_trace.h, and other includes are in host.c. build-disk compares the checksums.
#include <linux/version.h>
#include <linux/init.h>
#include <linux/module.h>
#include <linux/device.h>
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#include <linux/platform_device.h>
#include <linux/of_address.h>
#include <linux/smpboot.h>
#endif
#include <linux/interrupt.h>
#include <linux/sysctl.h>
#include <linux/slab.h>
#include <linux/acpi.h>
#include <linux/completion.h>
#include <linux/hyperv.h>
#include <linux/kernel_stat.h>
#include <linux/clockchips.h>
#include <linux/cpu.h>
#include <linux/sched/isolation.h>
#include <linux/sched/task_stack.h>
#include <linux/delay.h>
#include <linux/panic_notifier.h>
#include <linux/ptrace.h>
#include <linux/screen_info.h>
#include <linux/efi.h>
#include <linux/random.h>
#include <linux/kernel.h>
#include <linux/syscore_ops.h>
#include <linux/dma-map-ops.h>
#include <linux/pci.h>
#include <clocksource/hyperv_timer.h>
#include <asm/mshyperv.h>
#include <linux/list.h>
#include <linux/bitops.h>
#include <asm/sync_bitops.h>
#include <asm/hyperv-tlfs.h>
#include <linux/atomic.h>
#include <linux/tracepoint.h>
#include "standin.h"

// 6.3 and 6.11 made the callbacks' arguments constant.
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 12, 0)
#define CONST const
#else
#define CONST
#endif

// The instances' GUIDs are those of a virtual machine in Azure.
struct service services[service_count] = {
	{
		.name = "heartbeat",
		.type = { HV_HEART_BEAT_GUID },
		.instance = GUID_INIT(0xfd149e91, 0x82e0, 0x4a7d, 0xaf, 0xa6, 0x2a, 0x41, 0x66, 0xcb, 0xd7, 0xc0),
	},
	{
		.name = "shutdown",
		.type = { HV_SHUTDOWN_GUID },
		.instance = GUID_INIT(0xb6650ff7, 0x33bc, 0x4840, 0x80, 0x48, 0xe0, 0x67, 0x67, 0x86, 0xf3, 0x93),
	},
	{
		.name = "timesync",
		.type = { HV_TS_GUID },
		.instance = GUID_INIT(0x2dd1ce17, 0x079e, 0x403c, 0xb3, 0x52, 0xa1, 0x92, 0x1e, 0xe2, 0x07, 0xee),
	},
	{
		.name = "kvp",
		.type = { HV_KVP_GUID },
		.instance = GUID_INIT(0x242ff919, 0x07db, 0x4180, 0x9c, 0x2e, 0xb8, 0x6c, 0xb6, 0x8c, 0x8c, 0x55),
	},
	{
		.name = "vss",
		.type = { HV_VSS_GUID },
		.instance = GUID_INIT(0x2450ee40, 0x33bf, 0x4fbd, 0x89, 0x2e, 0x9f, 0xb0, 0x6e, 0x92, 0x14, 0xcf),
	},
	{
		.name = "fcopy",
		.type = { HV_FCOPY_GUID },
		.instance = GUID_INIT(0xeb765408, 0x105f, 0x49b6, 0xb4, 0xaa, 0xc1, 0x23, 0xb6, 0x4d, 0x17, 0xd4),
	},
};

// --- The bus --------------------------------------------------------------------------------------------------------

static ssize_t id_show(struct device *device, struct device_attribute *unused, char *buffer)
{
	return sysfs_emit(buffer, "%d\n", device_to_hv_device(device)->channel->offermsg.child_relid);
}
static DEVICE_ATTR_RO(id);

static ssize_t state_show(struct device *device, struct device_attribute *unused, char *buffer)
{
	return sysfs_emit(buffer, "%d\n", device_to_hv_device(device)->channel->state);
}
static DEVICE_ATTR_RO(state);

static ssize_t class_id_show(struct device *device, struct device_attribute *unused, char *buffer)
{
	return sysfs_emit(buffer, "{%pUl}\n", &device_to_hv_device(device)->dev_type);
}
static DEVICE_ATTR_RO(class_id);

static ssize_t device_id_show(struct device *device, struct device_attribute *unused, char *buffer)
{
	return sysfs_emit(buffer, "{%pUl}\n", &device_to_hv_device(device)->dev_instance);
}
static DEVICE_ATTR_RO(device_id);

static ssize_t modalias_show(struct device *device, struct device_attribute *unused, char *buffer)
{
	return sysfs_emit(buffer, "vmbus:%*phN\n", UUID_SIZE, &device_to_hv_device(device)->dev_type);
}
static DEVICE_ATTR_RO(modalias);

static struct attribute *bus_device_attrs[] = {
	&dev_attr_id.attr, &dev_attr_state.attr, &dev_attr_class_id.attr, &dev_attr_device_id.attr,
	&dev_attr_modalias.attr, NULL,
};
ATTRIBUTE_GROUPS(bus_device);

static int bus_uevent(CONST struct device *device, struct kobj_uevent_env *env)
{
	CONST struct hv_device *hv_device = device_to_hv_device(device);

	return add_uevent_var(env, "MODALIAS=vmbus:%*phN", UUID_SIZE, &hv_device->dev_type);
}

static const struct hv_vmbus_device_id *matching_id(CONST struct hv_driver *driver, struct hv_device *device)
{
	const struct hv_vmbus_device_id *id = driver->id_table;

	while (id && !guid_is_null(&id->guid) && !guid_equal(&id->guid, &device->dev_type))
		id++;
	return id && !guid_is_null(&id->guid) ? id : NULL;
}

static int bus_match(struct device *device, CONST struct device_driver *driver)
{
	return matching_id(drv_to_hv_drv(driver), device_to_hv_device(device)) != NULL;
}

static int bus_probe(struct device *device)
{
	struct hv_driver *driver = drv_to_hv_drv(device->driver);
	struct hv_device *hv_device = device_to_hv_device(device);

	return driver->probe(hv_device, matching_id(driver, hv_device));
}

static void bus_remove(struct device *device)
{
	drv_to_hv_drv(device->driver)->remove(device_to_hv_device(device));
}

static struct bus_type bus = {
	.name = "vmbus",
	.dev_groups = bus_device_groups,
	.match = bus_match,
	.uevent = bus_uevent,
	.probe = bus_probe,
	.remove = bus_remove,
};

int __vmbus_driver_register(struct hv_driver *driver, struct module *owner, const char *name)
{
	driver->driver.name = driver->name;
	driver->driver.owner = owner;
	driver->driver.mod_name = name;
	driver->driver.bus = &bus;
	return driver_register(&driver->driver);
}
EXPORT_SYMBOL_GPL(__vmbus_driver_register);

void vmbus_driver_unregister(struct hv_driver *driver)
{
	driver_unregister(&driver->driver);
}
EXPORT_SYMBOL_GPL(vmbus_driver_unregister);

// --- Offers ---------------------------------------------------------------------------------------------------------

static struct device *root;
// Set while the services are suspended.
static bool is_suspended;

static void offer_release(struct device *device)
{
	kfree(container_of(device_to_hv_device(device), struct offer, device));
}

bool is_offered(struct service *service)
{
	bool result;

	spin_lock_irq(&service->lock);
	result = service->offer != NULL;
	spin_unlock_irq(&service->lock);
	return result;
}

int offer_service(struct service *service)
{
	struct offer *offer;
	int error;

	mutex_lock(&service->offering);
	error = is_suspended ? -EBUSY : 0;
	if (error || service->offer)
		goto out;
	error = -ENOMEM;
	offer = kzalloc(sizeof(*offer), GFP_KERNEL);
	if (!offer)
		goto out;
	offer->service = service;
	offer->device.dev_type = service->type.guid;
	offer->device.dev_instance = service->instance;
	offer->device.channel = &offer->channel;
	offer->channel.device_obj = &offer->device;
	offer->channel.offermsg.child_relid = 1 + (service - services);
	channel_init(offer);
	device_initialize(&offer->device.device);
	offer->device.device.bus = &bus;
	offer->device.device.parent = root;
	offer->device.device.release = offer_release;
	spin_lock_irq(&service->lock);
	service->offer = offer;
	spin_unlock_irq(&service->lock);
	error = dev_set_name(&offer->device.device, "%pUl", &service->instance);
	if (!error)
		error = device_add(&offer->device.device);
	if (error) {
		spin_lock_irq(&service->lock);
		service->offer = NULL;
		spin_unlock_irq(&service->lock);
		put_device(&offer->device.device);
	}
out:
	mutex_unlock(&service->offering);
	return error;
}

// Returns when the driver has let go of the device, which may wait for a program that has the driver's device open.
int rescind_service(struct service *service)
{
	struct offer *offer;
	int error;

	mutex_lock(&service->offering);
	error = is_suspended ? -EBUSY : 0;
	if (error)
		goto out;
	spin_lock_irq(&service->lock);
	offer = service->offer;
	service->offer = NULL;
	drop_packets(&service->to_guest);
	spin_unlock_irq(&service->lock);
	if (offer) {
		offer->channel.rescind = true;
		device_del(&offer->device.device);
		tasklet_kill(&offer->channel.callback_event);
		put_device(&offer->device.device);
	}
out:
	mutex_unlock(&service->offering);
	return error;
}

// Write 1 to have every service suspended, 0 to have it resumed, as the bus does when the machine is.
static int set_suspended(const char *value, const struct kernel_param *unused)
{
	bool shall_be_suspended;
	int index, error = kstrtobool(value, &shall_be_suspended);

	if (error || shall_be_suspended == is_suspended)
		return error;
	for (index = 0; index < service_count && !error; index++) {
		struct service *service = &services[index];

		mutex_lock(&service->offering);
		if (service->offer) {
			struct hv_device *device = &service->offer->device;

			device_lock(&device->device);
			if (device->device.driver) {
				struct hv_driver *driver = drv_to_hv_drv(device->device.driver);

				error = shall_be_suspended ? driver->suspend(device) : driver->resume(device);
			}
			device_unlock(&device->device);
		}
		mutex_unlock(&service->offering);
	}
	if (!error)
		is_suspended = shall_be_suspended;
	return error;
}
static const struct kernel_param_ops suspended_operations = { .set = set_suspended };
module_param_cb(suspended, &suspended_operations, NULL, 0200);

// The services that are offered from the beginning.
static char *offers[service_count] = { "heartbeat", "shutdown", "timesync", "kvp", "vss" };
static int offers_length = 5;
module_param_array(offers, charp, &offers_length, 0400);

static int __init bus_init(void)
{
	int index, number, error;

	for (index = 0; index < service_count; index++) {
		struct service *service = &services[index];

		mutex_init(&service->offering);
		spin_lock_init(&service->lock);
		INIT_LIST_HEAD(&service->to_guest.list);
		INIT_LIST_HEAD(&service->to_host.list);
		init_waitqueue_head(&service->host_waits);
	}
	root = root_device_register("vmbus");
	if (IS_ERR(root))
		return PTR_ERR(root);
	error = bus_register(&bus);
	if (error)
		goto no_bus;
	error = host_init();
	if (error)
		goto no_host;
	for (index = 0; index < service_count; index++)
		for (number = 0; number < offers_length; number++)
			if (!strcmp(services[index].name, offers[number]))
				offer_service(&services[index]);
	return 0;
no_host:
	bus_unregister(&bus);
no_bus:
	root_device_unregister(root);
	return error;
}
module_init(bus_init);

static void __exit bus_exit(void)
{
	int index;

	for (index = 0; index < service_count; index++) {
		rescind_service(&services[index]);
		drop_packets(&services[index].to_host);
	}
	host_exit();
	bus_unregister(&bus);
	root_device_unregister(root);
}
module_exit(bus_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A bus without Hyper-V, for the tests of quiesce");
