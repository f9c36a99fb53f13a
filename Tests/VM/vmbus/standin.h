/* SPDX-License-Identifier: GPL-2.0 */
// What the files of the stand-in share. Include it after <linux/hyperv.h>, and nothing here: see bus.c.

struct miscdevice;

// Packets in one direction of a channel, oldest first.
struct packets {
	struct list_head list;
	unsigned int count;
};

// An integration service that the host has. The guest sees it while it is offered.
struct service {
	const char *name;
	struct hv_vmbus_device_id type;
	guid_t instance;
	// Serialises offers and rescinds.
	struct mutex offering;
	// Guards everything below.
	spinlock_t lock;
	struct offer *offer;
	struct packets to_guest, to_host;
	wait_queue_head_t host_waits;
};

// One offer of a service: the device on the bus, with its channel.
struct offer {
	struct hv_device device;
	struct vmbus_channel channel;
	struct service *service;
};

enum { service_count = 6 };
extern struct service services[service_count];

// bus.c
int offer_service(struct service *service);
int rescind_service(struct service *service);
bool is_offered(struct service *service);

// channel.c
void channel_init(struct offer *offer);
// Both are called with the service's lock held.
bool put_packet(struct packets *packets, const void *bytes, size_t length);
void drop_packets(struct packets *packets);
// The length of the oldest packet, which is removed; 0 if there is none; -ENOBUFS if the packet, which then stays, is
// longer than the capacity.
ssize_t take_packet(struct packets *packets, void *bytes, size_t capacity);

// host.c
int host_init(void);
void host_exit(void);
