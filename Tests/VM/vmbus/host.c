// SPDX-License-Identifier: GPL-2.0
// The host's end of the channels: /dev/vmbus_host/SERVICE, where one read or write is one packet, and
// /sys/class/misc/SERVICE_host/offered, which is written with 0 to rescind the service and with 1 to offer it.
#include <linux/hyperv.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include "standin.h"

// The kernel's own bus gives hv_utils rings of 12 KiB, KVP's packets take 7.5.
enum { packet_limit = 16384 };

static struct miscdevice host_devices[service_count];

// misc_open leaves the miscdevice here.
static struct service *service_of(struct file *file)
{
	return &services[(struct miscdevice *)file->private_data - host_devices];
}

static bool has_packet(struct service *service)
{
	return READ_ONCE(service->to_host.count) > 0;
}

static ssize_t host_read(struct file *file, char __user *buffer, size_t capacity, loff_t *unused)
{
	struct service *service = service_of(file);
	void *bytes = kmalloc(packet_limit, GFP_KERNEL);
	ssize_t result;

	if (!bytes)
		return -ENOMEM;
	for (;;) {
		spin_lock_irq(&service->lock);
		result = take_packet(&service->to_host, bytes, min_t(size_t, capacity, packet_limit));
		spin_unlock_irq(&service->lock);
		if (result)
			break;
		if (file->f_flags & O_NONBLOCK) {
			result = -EAGAIN;
			break;
		}
		result = wait_event_interruptible(service->host_waits, has_packet(service));
		if (result)
			break;
	}
	if (result > 0 && copy_to_user(buffer, bytes, result))
		result = -EFAULT;
	kfree(bytes);
	return result;
}

static ssize_t host_write(struct file *file, const char __user *buffer, size_t length, loff_t *unused)
{
	struct service *service = service_of(file);
	ssize_t result = length;
	void *bytes;

	if (length == 0 || length > packet_limit)
		return -EINVAL;
	bytes = memdup_user(buffer, length);
	if (IS_ERR(bytes))
		return PTR_ERR(bytes);
	spin_lock_irq(&service->lock);
	if (!service->offer)
		result = -ENODEV;
	else if (!put_packet(&service->to_guest, bytes, length))
		result = -EAGAIN;
	else
		tasklet_schedule(&service->offer->channel.callback_event);
	spin_unlock_irq(&service->lock);
	kfree(bytes);
	return result;
}

static __poll_t host_poll(struct file *file, poll_table *table)
{
	struct service *service = service_of(file);

	poll_wait(file, &service->host_waits, table);
	return EPOLLOUT | (has_packet(service) ? EPOLLIN : 0);
}

static const struct file_operations host_operations = {
	.owner = THIS_MODULE,
	.read = host_read,
	.write = host_write,
	.poll = host_poll,
	.llseek = noop_llseek,
};

static struct service *service_of_device(struct device *device)
{
	return &services[(struct miscdevice *)dev_get_drvdata(device) - host_devices];
}

static ssize_t offered_show(struct device *device, struct device_attribute *unused, char *buffer)
{
	return sysfs_emit(buffer, "%d\n", is_offered(service_of_device(device)));
}

static ssize_t offered_store(struct device *device, struct device_attribute *unused, const char *value, size_t length)
{
	struct service *service = service_of_device(device);
	bool shall_be_offered;
	int error = kstrtobool(value, &shall_be_offered);

	if (!error)
		error = shall_be_offered ? offer_service(service) : rescind_service(service);
	return error ? error : length;
}
static DEVICE_ATTR_RW(offered);

static struct attribute *host_attrs[] = { &dev_attr_offered.attr, NULL };
ATTRIBUTE_GROUPS(host);

static void remove_host_devices(int count)
{
	while (count--) {
		misc_deregister(&host_devices[count]);
		kfree(host_devices[count].name);
		kfree(host_devices[count].nodename);
	}
}

int host_init(void)
{
	int index, error;

	for (index = 0; index < service_count; index++) {
		struct miscdevice *device = &host_devices[index];

		device->minor = MISC_DYNAMIC_MINOR;
		device->name = kasprintf(GFP_KERNEL, "%s_host", services[index].name);
		device->nodename = kasprintf(GFP_KERNEL, "vmbus_host/%s", services[index].name);
		device->fops = &host_operations;
		device->groups = host_groups;
		error = device->name && device->nodename ? misc_register(device) : -ENOMEM;
		if (error) {
			kfree(device->name);
			kfree(device->nodename);
			remove_host_devices(index);
			return error;
		}
	}
	return 0;
}

void host_exit(void)
{
	remove_host_devices(service_count);
}
