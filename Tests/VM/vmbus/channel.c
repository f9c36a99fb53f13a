// SPDX-License-Identifier: GPL-2.0
// The guest's end of the channels: what hv_utils.ko calls. For the includes see bus.c.
#include <linux/kernel.h>
#include <linux/sched.h>
#include <linux/wait.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/module.h>
#include <linux/hyperv.h>
#include <linux/uio.h>
#include <linux/interrupt.h>
#include <linux/set_memory.h>
#include <asm/page.h>
#include <asm/mshyperv.h>
#include <linux/list.h>
#include <linux/bitops.h>
#include <asm/sync_bitops.h>
#include <asm/hyperv-tlfs.h>
#include <linux/atomic.h>
#include <linux/tracepoint.h>
#include "standin.h"

enum { packets_limit = 64 };

struct packet {
	struct list_head list;
	size_t length;
	u8 bytes[];
};

bool put_packet(struct packets *packets, const void *bytes, size_t length)
{
	struct packet *packet;

	if (packets->count == packets_limit)
		return false;
	packet = kmalloc(sizeof(*packet) + length, GFP_ATOMIC);
	if (!packet)
		return false;
	packet->length = length;
	memcpy(packet->bytes, bytes, length);
	list_add_tail(&packet->list, &packets->list);
	packets->count++;
	return true;
}

static void remove_packet(struct packets *packets, struct packet *packet)
{
	list_del(&packet->list);
	packets->count--;
	kfree(packet);
}

ssize_t take_packet(struct packets *packets, void *bytes, size_t capacity)
{
	struct packet *packet = list_first_entry_or_null(&packets->list, struct packet, list);
	size_t length;

	if (!packet)
		return 0;
	length = packet->length;
	if (length > capacity)
		return -ENOBUFS;
	memcpy(bytes, packet->bytes, length);
	remove_packet(packets, packet);
	return length;
}

void drop_packets(struct packets *packets)
{
	struct packet *packet, *next;

	list_for_each_entry_safe(packet, next, &packets->list, list)
		remove_packet(packets, packet);
}

static struct service *service_of(struct vmbus_channel *channel)
{
	return container_of(channel, struct offer, channel)->service;
}

static unsigned int waiting_packets(struct service *service)
{
	unsigned int count;

	spin_lock_irq(&service->lock);
	count = service->to_guest.count;
	spin_unlock_irq(&service->lock);
	return count;
}

static void run_callback(unsigned long data)
{
	struct vmbus_channel *channel = (struct vmbus_channel *)data;
	void (*callback)(void *) = READ_ONCE(channel->onchannel_callback);
	struct service *service = service_of(channel);
	unsigned int before = waiting_packets(service), after;

	if (!callback)
		return;
	callback(channel->channel_callback_context);
	// A callback of VSS, KVP and fcopy takes one packet, and none while the packet before is unanswered.
	after = waiting_packets(service);
	if (after > 0 && after < before)
		tasklet_schedule(&channel->callback_event);
}

void channel_init(struct offer *offer)
{
	offer->channel.state = CHANNEL_OPEN_STATE;
	tasklet_init(&offer->channel.callback_event, run_callback, (unsigned long)&offer->channel);
}

__u32 vmbus_proto_version = VERSION_WIN10;
EXPORT_SYMBOL_GPL(vmbus_proto_version);

int vmbus_open(struct vmbus_channel *channel, u32 send_ring, u32 receive_ring, void *data, u32 length,
	       void (*callback)(void *), void *context)
{
	channel->channel_callback_context = context;
	WRITE_ONCE(channel->onchannel_callback, callback);
	channel->state = CHANNEL_OPENED_STATE;
	tasklet_schedule(&channel->callback_event);
	return 0;
}
EXPORT_SYMBOL_GPL(vmbus_open);

void vmbus_close(struct vmbus_channel *channel)
{
	tasklet_disable(&channel->callback_event);
	WRITE_ONCE(channel->onchannel_callback, NULL);
	channel->state = CHANNEL_OPEN_STATE;
	tasklet_enable(&channel->callback_event);
}
EXPORT_SYMBOL_GPL(vmbus_close);

int vmbus_recvpacket(struct vmbus_channel *channel, void *buffer, u32 capacity, u32 *length, u64 *request)
{
	struct service *service = service_of(channel);
	unsigned long flags;
	ssize_t taken;

	spin_lock_irqsave(&service->lock, flags);
	taken = take_packet(&service->to_guest, buffer, capacity);
	spin_unlock_irqrestore(&service->lock, flags);
	*request = 0;
	*length = max_t(ssize_t, taken, 0);
	return min_t(ssize_t, taken, 0);
}
EXPORT_SYMBOL_GPL(vmbus_recvpacket);

int vmbus_sendpacket(struct vmbus_channel *channel, void *buffer, u32 length, u64 request,
		     enum vmbus_packet_type type, u32 flags)
{
	struct service *service = service_of(channel);
	unsigned long irq_flags;
	bool was_put;

	if (channel->rescind)
		return -ENODEV;
	spin_lock_irqsave(&service->lock, irq_flags);
	was_put = put_packet(&service->to_host, buffer, length);
	spin_unlock_irqrestore(&service->lock, irq_flags);
	wake_up_interruptible(&service->host_waits);
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
