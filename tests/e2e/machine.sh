#!/bin/sh
# The shell's part of machine.py: a systemd that is PID 1 of namespaces of its own, over a view of
# this system's files that keeps nothing.
#
#   machine.sh up SCRATCH STAGE    boots, with the files of the directory STAGE laid over the system's
#   machine.sh down SCRATCH        takes away what a killed machine leaves
#
# Both are run in a mount namespace of their own.
set -eu

fail() {
	echo "machine: $*" >&2
	exit 1
}

# A control group for the machine, so that several do not meet in one, nor with the system's own.
find_cgroup() {
	mkdir -p "$scratch/cgroup"
	mount -t cgroup2 none "$scratch/cgroup" || fail 'there are no control groups'
	cgroup=$scratch/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$(basename "$scratch")
}

# What belongs to hardware, to the network or to logins is masked: it cannot be had here.
mask_units() {
	mkdir -p "$root/etc/systemd/system"
	for unit in "$root"/lib/systemd/system/sysinit.target.wants/* \
		"$root"/lib/systemd/system/local-fs.target.wants/* \
		"$root"/etc/systemd/system/*.wants/*; do
		unit=${unit##*/}
		case $unit in
		'*' | systemd-journald.* | systemd-journal-flush.* | systemd-tmpfiles-setup.service | \
			systemd-sysusers.*) ;;
		*) ln -sf /dev/null "$root/etc/systemd/system/$unit" ;;
		esac
	done
	: >"$root/etc/fstab"
}

lay_files() {
	root=$scratch/files/root
	mkdir -p "$scratch/files"
	mount -t tmpfs none "$scratch/files"
	mkdir "$scratch/files/upper" "$scratch/files/work" "$root"
	mount -t overlay none "$root" -o \
		"lowerdir=/,upperdir=$scratch/files/upper,workdir=$scratch/files/work" ||
		fail 'no overlay can be mounted'
	mask_units
	# An imd that the system has is not to be met.
	rm -rf "$root/var/lib/imd" "$root/etc/imd"
	mkdir -p "$root/etc/systemd/journald.conf.d"
	printf '[Journal]\nReadKMsg=no\nStorage=volatile\n' >"$root/etc/systemd/journald.conf.d/machine.conf"
	# Through links as well: /lib is one to /usr/lib.
	tar -C "$stage" -c . | tar -C "$root" -x --keep-directory-symlink
}

# Only what every program may expect to find: the real devices are the system's own.
make_devices() {
	mount -t tmpfs -o mode=755 none "$root/dev"
	for device in null zero full random urandom tty; do
		: >"$root/dev/$device"
		mount --bind "/dev/$device" "$root/dev/$device"
	done
	mkdir "$root/dev/pts" "$root/dev/shm"
	mount -t devpts -o newinstance,ptmxmode=666 none "$root/dev/pts"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	mount -t tmpfs none "$root/dev/shm"
}

mount_kernel() {
	mount -t proc none "$root/proc"
	mount -t sysfs -o ro none "$root/sys"
	mount -t cgroup2 none "$root/sys/fs/cgroup"
	mount -t tmpfs none "$root/tmp"
	for directory in run var/log; do
		mount -t tmpfs -o mode=755 none "$root/$directory"
	done
}

scratch=$2
case $1 in
up)
	find_cgroup
	mkdir "$cgroup"
	echo 0 >"$cgroup/cgroup.procs"
	umount "$scratch/cgroup"
	exec unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child \
		"$0" boot "$scratch" "$3"
	;;
boot)
	stage=$3
	mount --make-rprivate /
	lay_files
	mount_kernel
	make_devices
	hostname machine
	cd "$root"
	exec env -i container=imd-test PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
		chroot . /lib/systemd/systemd --system --unit=basic.target --show-status=no \
		--log-target=journal
	;;
down)
	find_cgroup
	[ ! -d "$cgroup" ] || find "$cgroup" -depth -type d -exec rmdir {} +
	;;
esac
