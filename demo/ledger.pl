#!/usr/bin/perl
# SPDX-License-Identifier: GPL-2.0
#
# ledger.pl - a small database's way to write, for the demo. A file of pages;
# a transaction overwrites one of them, waits for fsync, and only then tells
# its client: a line in the journal of acknowledgements, which is kept elsewhere
# (in memory), so that it cannot be lost together with the data.
#
#	ledger.pl write FILE ACKS
#		until SIGTERM
#	ledger.pl check FILE ACKS [T0 T1]
#		every page is whole, and no acknowledged transaction is missing.
#		With two times (seconds, as "now" prints them): FILE is as of one
#		moment between them: all that was acknowledged before T0 is there,
#		and nothing that was begun after T1
#	ledger.pl slowest ACKS T0 T1
#		the longest wait for an acknowledgement between two times
#	ledger.pl now

use strict;
use warnings;
use IO::Handle;
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC sleep);

my $PAGES = 256;
my $SIZE = 4096;

sub now { return clock_gettime(CLOCK_MONOTONIC); }

# All of a page follows from its number and the transaction's: no checksum
# needed, a page is right or it is not.
sub page {
	my ($seq, $page) = @_;
	my $text = sprintf("ledger page %03d transaction %010d\n", $page, $seq);
	return substr($text x ($SIZE / length($text) + 1), 0, $SIZE);
}

sub write_ledger {
	my ($file, $acks) = @_;
	my ($stop, $seq) = (0, 0);
	$SIG{TERM} = sub { $stop = 1 };
	open(my $db, '+>', $file) or die "$file: $!\n";
	open(my $log, '>>', $acks) or die "$acks: $!\n";
	$log->autoflush(1);
	while (!$stop) {
		my $begun = now();
		# Each page once at first, then any.
		my $page = $seq < $PAGES ? $seq : int(rand($PAGES));
		sysseek($db, $page * $SIZE, 0) or die "$file: $!\n";
		syswrite($db, page(++$seq, $page)) == $SIZE or die "$file: $!\n";
		$db->sync or die "$file: fsync: $!\n";
		printf $log "%d %d %.6f %.6f\n", $seq, $page, $begun, now();
		sleep(0.005);
	}
}

sub each_ack {
	my ($acks, $do) = @_;
	open(my $log, '<', $acks) or die "$acks: $!\n";
	while (<$log>) {
		$do->(split ' ');
	}
}

sub check {
	my ($file, $acks, $t0, $t1) = @_;
	my (@must, @may, $n, $bad);
	$n = $bad = 0;
	each_ack($acks, sub {
		my ($seq, $page, $begun, $acked) = @_;
		if (!defined $t0 || $acked <= $t0) {
			$must[$page] = $seq;
			$n++;
		}
		# The first that FILE must not know.
		$may[$page] //= $seq if defined $t1 && $begun > $t1;
	});
	open(my $db, '<', $file) or die "$file: $!\n";
	for my $page (0 .. $PAGES - 1) {
		my ($seq, $data) = (0, '');
		sysread($db, $data, $SIZE);
		$seq = $1 if $data =~ /transaction (\d+)/;
		if ($data ne page($seq, $page)) {
			print "page $page is torn\n";
		} elsif ($seq < ($must[$page] // 0)) {
			print "page $page: transaction $must[$page] is missing\n";
		} elsif (defined $may[$page] && $seq >= $may[$page]) {
			print "page $page: transaction $seq is from later\n";
		} else {
			next;
		}
		$bad++;
	}
	die "$bad of $PAGES pages are wrong\n" if $bad;
	die "no transactions\n" if !$n;
	print "$n acknowledged transactions, $PAGES pages: all there, all whole\n";
}

sub slowest {
	my ($acks, $t0, $t1) = @_;
	my ($max, $n) = (0, 0);
	each_ack($acks, sub {
		my ($seq, $page, $begun, $acked) = @_;
		return if $acked < $t0 || $begun > $t1;
		$n++;
		$max = $acked - $begun if $acked - $begun > $max;
	});
	printf "%d transactions meanwhile, the slowest took %.0f ms\n", $n,
		$max * 1000;
}

my $verb = shift // '';
if ($verb eq 'write') {
	write_ledger(@ARGV);
} elsif ($verb eq 'check') {
	check(@ARGV);
} elsif ($verb eq 'slowest') {
	slowest(@ARGV);
} elsif ($verb eq 'now') {
	printf "%.6f\n", now();
} else {
	die "usage: ledger.pl write|check|slowest|now ...\n";
}
