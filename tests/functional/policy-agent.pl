#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
#
# policy-agent.pl - device-mapper by ioctl, for tests with hundreds of cells:
# a dmsetup in an emulated machine costs a tenth of a second and more. A
# co-process: reads one command a line, words separated by tabs, and answers
# each with one line that begins with ok, timeout or the errno's name.
#
#	create NAME TABLE	load and resume; TABLE's lines separated by |
#	swap NAME TABLE		another table: load, then resume (which suspends)
#	load NAME TABLE		only that
#	remove NAME
#	suspend NAME [noflush]	resume NAME
#	msg NAME WORDS
#	status NAME		events NAME
#	wait NAME SECONDS REGEX	until the status (of its one target) matches
use strict;
use warnings;
use Time::HiRes qw(time sleep);

use constant { CREATE => 3, REMOVE => 4, SUSPEND => 6, DEV_STATUS => 7,
	       LOAD => 9, CLEAR => 10, STATUS => 12, MSG => 14 };
use constant { F_SUSPEND => 2, F_LOCKFS => 1 << 10, F_NOFLUSH => 1 << 11 };
use constant { HEAD => 312, ROOM => 32768 };

open(my $ctl, '+<', '/dev/mapper/control') or die "/dev/mapper/control: $!\n";
$| = 1;

# io COMMAND NAME FLAGS TARGETS PAYLOAD: the answer's fields, or nothing and $!
sub io {
	my ($cmd, $name, $flags, $targets, $data) = @_;
	my $buf = pack('L3 L L L l L L L Q a128 a129 x7', 4, 0, 0, ROOM, HEAD,
		       $targets, 0, $flags, 0, 0, 0, $name, '') . $data;

	$buf .= "\0" x (ROOM - length $buf);
	ioctl($ctl, 0xC138FD00 | $cmd, $buf) or return;
	my %r;
	@r{qw(start targets open flags event dev)} =
		(unpack('L3 L L L l L L L Q', $buf))[4, 5, 6, 7, 8, 10];
	$r{buf} = $buf;
	return \%r;
}

sub load {
	my ($name, $table) = @_;
	my ($data, $n) = ('', 0);

	for my $line (split /\|/, $table) {
		my ($start, $len, $type, $params) = split ' ', $line, 4;
		my $p = ($params // '') . "\0";

		$p .= "\0" x (-length($p) % 8);
		$data .= pack('Q Q l L a16', $start, $len, 0, 40 + length $p,
			      $type) . $p;
		$n++;
	}
	return io(LOAD, $name, 0, $n, $data);
}

# Without udev the node is ours; the number is mostly the one it had before.
sub node {
	my ($name, $dev) = @_;
	my $path = "/dev/mapper/$name";
	my $has = (stat $path)[6];

	return if -b $path && $has == $dev;
	unlink $path;
	syscall(133, $path, 0060600, $dev);	# mknod, x86-64
	die "$path is no block device\n" unless -b $path;
}

sub create {
	my ($name, $table) = @_;
	my $r = io(CREATE, $name, 0, 0, '') or return;

	if (!load($name, $table) || !io(SUSPEND, $name, 0, 0, '')) {
		my $e = $! + 0;
		io(REMOVE, $name, 0, 0, '');
		$! = $e;
		return;
	}
	node($name, $r->{dev});
	return $r;
}

# dm's resume with a new table suspends by itself: with a flush, as dmsetup.
sub swap {
	my ($name, $table) = @_;

	return load($name, $table) && io(SUSPEND, $name, 0, 0, '');
}

sub status {
	my $r = io(STATUS, $_[0], F_NOFLUSH, 0, '') or return;

	return '' unless $r->{targets};
	return unpack('Z*', substr $r->{buf}, $r->{start} + 40);
}

sub wait_for {
	my ($name, $secs, $re) = @_;
	my $end = time + $secs;
	my $s;

	for (;;) {
		$s = status($name);
		return errno() unless defined $s;
		return "ok\t$s" if $s =~ /$re/;
		return "timeout\t$s" if time > $end;
		sleep 0.003;
	}
}

sub errno {
	my ($name) = grep { $!{$_} } keys %!;
	return $name // 'E' . ($! + 0);
}

while (my $line = <STDIN>) {
	chomp $line;
	my ($cmd, @a) = split /\t/, $line;
	my $out;

	if ($cmd eq 'create') {
		$out = create(@a) && 'ok';
	} elsif ($cmd eq 'swap') {
		$out = swap(@a) && 'ok';
	} elsif ($cmd eq 'load') {
		$out = load(@a) && 'ok';
	} elsif ($cmd eq 'remove') {
		$out = io(REMOVE, $a[0], 0, 0, '') && 'ok';
	} elsif ($cmd eq 'suspend') {
		$out = io(SUSPEND, $a[0], F_SUSPEND | ($a[1] ? F_NOFLUSH |
			  F_LOCKFS : 0), 0, '') && 'ok';
	} elsif ($cmd eq 'resume') {
		$out = io(SUSPEND, $a[0], 0, 0, '') && 'ok';
	} elsif ($cmd eq 'msg') {
		$out = io(MSG, $a[0], 0, 0, pack('Q Z*', 0, $a[1])) && 'ok';
	} elsif ($cmd eq 'status') {
		$out = status($a[0]);
		$out = "ok\t$out" if defined $out;
	} elsif ($cmd eq 'events') {
		my $r = io(DEV_STATUS, $a[0], 0, 0, '');
		$out = "ok\t$r->{event}" if $r;
	} elsif ($cmd eq 'wait') {
		$out = wait_for(@a);
	}
	print $out ? $out : errno(), "\n";
}
