// SPDX-License-Identifier: GPL-2.0
// Stands in for Hyper-V's bus where there is no Hyper-V: the distribution's own hv_utils.ko finds one device on it, the
// one for VSS, and user space has the host's end of its channel, /dev/vss_host. One read or write there is one packet,
// as it is in the channel's ring.
//
// Load this, then hv_utils.ko with "insmod -f": it was built against the real hv_vmbus.ko.
#include <linux/completion.h>
#include <linux/hyperv.h>
#include <linux/interrupt.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/poll.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

enum { packet_limit = 4096, ring_length = 64 };

struct packet {
	size_t length;
	u8 bytes[packet_limit];
};

struct ring {
	unsigned int first, count;
	struct packet *packets;
};

static struct ring to_guest, to_host;
static DEFINE_SPINLOCK(ring_lock);
static DECLARE_WAIT_QUEUE_HEAD(host_waits);

static struct hv_driver *driver;
static const struct hv_vmbus_device_id *device_id;
static struct hv_device *device;
static bool is_present;
static bool is_open;

static bool ring_put(struct ring *ring, const void *bytes, size_t length)
{
	struct packet *packet;
	unsigned long flags;
	bool has_room;

	spin_lock_irqsave(&ring_lock, flags);
	has_room = ring->count < ring_length && length <= packet_limit;
	if (has_room) {
		packet = &ring->packets[(ring->first + ring->count++) % ring_length];
		packet->length = length;
		memcpy(packet->bytes, bytes, length);
	}
	spin_unlock_irqrestore(&ring_lock, flags);
	return has_room;
}

// The length of the packet, 0 if there is none.
static size_t ring_take(struct ring *ring, void *bytes, size_t capacity)
{
	struct packet *packet;
	unsigned long flags;
	size_t length = 0;

	spin_lock_irqsave(&ring_lock, flags);
	if (ring->count > 0) {
		packet = &ring->packets[ring->first];
		length = min(packet->length, capacity);
		memcpy(bytes, packet->bytes, length);
		ring->first = (ring->first + 1) % ring_length;
		ring->count--;
	}
	spin_unlock_irqrestore(&ring_lock, flags);
	return length;
}

// --- The guest's end: what hv_utils.ko calls ---------------------------------------------------------------------

__u32 vmbus_proto_version = VERSION_WIN10;
EXPORT_SYMBOL_GPL(vmbus_proto_version);

static void channel_tasklet(unsigned long data)
{
	struct vmbus_channel *channel = (struct vmbus_channel *)data;

	if (is_open)
		channel->onchannel_callback(channel->channel_callback_context);
}

int vmbus_open(struct vmbus_channel *channel, u32 send_ring, u32 receive_ring, void *data, u32 length,
	       void (*callback)(void *), void *context)
{
	channel->onchannel_callback = callback;
	channel->channel_callback_context = context;
	is_open = true;
	tasklet_schedule(&channel->callback_event);
	return 0;
}
EXPORT_SYMBOL_GPL(vmbus_open);

void vmbus_close(struct vmbus_channel *channel)
{
	is_open = false;
	tasklet_unlock_wait(&channel->callback_event);
}
EXPORT_SYMBOL_GPL(vmbus_close);

int vmbus_recvpacket(struct vmbus_channel *channel, void *buffer, u32 capacity, u32 *length, u64 *request)
{
	*request = 0;
	*length = ring_take(&to_guest, buffer, capacity);
	return 0;
}
EXPORT_SYMBOL_GPL(vmbus_recvpacket);

int vmbus_sendpacket(struct vmbus_channel *channel, void *buffer, u32 length, u64 request,
		     enum vmbus_packet_type type, u32 flags)
{
	bool was_put = ring_put(&to_host, buffer, length);

	wake_up_interruptible(&host_waits);
	return was_put ? 0 : -EAGAIN;
}
EXPORT_SYMBOL_GPL(vmbus_sendpacket);

// The newest versions that the driver knows are agreed on.
bool vmbus_prep_negotiate_resp(struct icmsg_hdr *header, u8 *buffer, u32 length, const int *fw_versions,
			       int fw_count, const int *srv_versions, int srv_count, int *fw_agreed,
			       int *srv_agreed)
{
	struct icmsg_negotiate *negotiation =
		(struct icmsg_negotiate *)(buffer + sizeof(struct vmbuspipe_hdr) + sizeof(struct icmsg_hdr));

	if (length < sizeof(struct vmbuspipe_hdr) + sizeof(struct icmsg_hdr) + sizeof(*negotiation))
		return false;
	header->icmsgsize = sizeof(*negotiation) + 2 * sizeof(struct ic_version);
	negotiation->icframe_vercnt = 1;
	negotiation->icmsg_vercnt = 1;
	negotiation->icversion_data[0].major = fw_versions[0] >> 16;
	negotiation->icversion_data[0].minor = fw_versions[0] & 0xffff;
	negotiation->icversion_data[1].major = srv_versions[0] >> 16;
	negotiation->icversion_data[1].minor = srv_versions[0] & 0xffff;
	if (fw_agreed)
		*fw_agreed = fw_versions[0];
	if (srv_agreed)
		*srv_agreed = srv_versions[0];
	return true;
}
EXPORT_SYMBOL_GPL(vmbus_prep_negotiate_resp);

static void no_release(struct device *unused)
{
}

int __vmbus_driver_register(struct hv_driver *new_driver, struct module *owner, const char *name)
{
	static const struct hv_vmbus_device_id vss = { HV_VSS_GUID };
	const struct hv_vmbus_device_id *id = new_driver->id_table;
	int error;

	if (driver)
		return 0; // a driver of something else: nothing on this bus is for it
	while (id && !guid_is_null(&id->guid) && !guid_equal(&id->guid, &vss.guid))
		id++;
	if (!id || guid_is_null(&id->guid))
		return 0;
	device = kzalloc(sizeof(*device), GFP_KERNEL);
	if (!device)
		return -ENOMEM;
	device->channel = kzalloc(sizeof(*device->channel), GFP_KERNEL);
	if (!device->channel) {
		kfree(device);
		return -ENOMEM;
	}
	device_initialize(&device->device);
	device->device.release = no_release;
	dev_set_name(&device->device, "vss");
	device->dev_type = device->dev_instance = vss.guid;
	device->channel->device_obj = device;
	tasklet_init(&device->channel->callback_event, channel_tasklet, (unsigned long)device->channel);
	error = new_driver->probe(device, id);
	if (error) {
		kfree(device->channel);
		kfree(device);
		return error;
	}
	driver = new_driver;
	device_id = id;
	is_present = true;
	return 0;
}
EXPORT_SYMBOL_GPL(__vmbus_driver_register);

void vmbus_driver_unregister(struct hv_driver *old_driver)
{
	if (driver != old_driver)
		return;
	if (is_present)
		driver->remove(device);
	tasklet_kill(&device->channel->callback_event);
	driver = NULL;
	kfree(device->channel);
	kfree(device);
}
EXPORT_SYMBOL_GPL(vmbus_driver_unregister);

// Write 1 to have the device suspended, 0 to have it resumed, as the bus does when the machine is.
static int set_suspended(const char *value, const struct kernel_param *unused)
{
	bool is_suspended;
	int error = kstrtobool(value, &is_suspended);

	if (error)
		return error;
	if (!driver)
		return -ENODEV;
	return is_suspended ? driver->suspend(device) : driver->resume(device);
}
static const struct kernel_param_ops suspended_operations = { .set = set_suspended };
module_param_cb(suspended, &suspended_operations, NULL, 0200);

// Write 0 to take the device from its driver, 1 to give it back, as the host does that switches the service off and on.
static int set_present(const char *value, const struct kernel_param *unused)
{
	bool shall_be_present;
	int error = kstrtobool(value, &shall_be_present);

	if (error)
		return error;
	if (!driver)
		return -ENODEV;
	if (shall_be_present == is_present)
		return 0;
	if (shall_be_present)
		error = driver->probe(device, device_id);
	else
		driver->remove(device);
	if (!error)
		is_present = shall_be_present;
	return error;
}
static const struct kernel_param_ops present_operations = { .set = set_present };
module_param_cb(present, &present_operations, NULL, 0200);

// --- The host's end -----------------------------------------------------------------------------------------------

static ssize_t host_read(struct file *file, char __user *buffer, size_t capacity, loff_t *unused)
{
	struct packet *packet = kmalloc(sizeof(*packet), GFP_KERNEL);
	ssize_t result;

	if (!packet)
		return -ENOMEM;
	for (;;) {
		packet->length = ring_take(&to_host, packet->bytes, packet_limit);
		if (packet->length > 0)
			break;
		result = wait_event_interruptible(host_waits, to_host.count > 0);
		if (result)
			goto out;
	}
	result = packet->length;
	if (capacity < packet->length)
		result = -EINVAL;
	else if (copy_to_user(buffer, packet->bytes, packet->length))
		result = -EFAULT;
out:
	kfree(packet);
	return result;
}

static ssize_t host_write(struct file *file, const char __user *buffer, size_t length, loff_t *unused)
{
	void *bytes;
	bool was_put;

	if (length == 0 || length > packet_limit)
		return -EINVAL;
	bytes = memdup_user(buffer, length);
	if (IS_ERR(bytes))
		return PTR_ERR(bytes);
	was_put = ring_put(&to_guest, bytes, length);
	kfree(bytes);
	if (!was_put)
		return -EAGAIN;
	if (device)
		tasklet_schedule(&device->channel->callback_event);
	return length;
}

static __poll_t host_poll(struct file *file, poll_table *table)
{
	poll_wait(file, &host_waits, table);
	return EPOLLOUT | (to_host.count > 0 ? EPOLLIN : 0);
}

static const struct file_operations host_operations = {
	.owner = THIS_MODULE,
	.read = host_read,
	.write = host_write,
	.poll = host_poll,
	.llseek = noop_llseek,
};
static struct miscdevice host_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "vss_host",
	.fops = &host_operations,
};

static int __init bus_init(void)
{
	int error = -ENOMEM;

	to_guest.packets = kvcalloc(ring_length, sizeof(struct packet), GFP_KERNEL);
	to_host.packets = kvcalloc(ring_length, sizeof(struct packet), GFP_KERNEL);
	if (to_guest.packets && to_host.packets)
		error = misc_register(&host_device);
	if (error) {
		kvfree(to_guest.packets);
		kvfree(to_host.packets);
	}
	return error;
}
module_init(bus_init);

static void __exit bus_exit(void)
{
	misc_deregister(&host_device);
	kvfree(to_guest.packets);
	kvfree(to_host.packets);
}
module_exit(bus_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("A bus without Hyper-V, for the tests of quiesce");
