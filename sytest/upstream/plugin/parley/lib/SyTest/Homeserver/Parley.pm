# One Parley server under SyTest: writes its configuration, starts it, names it.
# Each run begins with an empty data folder; the server brings its own
# PostgreSQL unless PARLEY_SYTEST_DATABASE_URL_<index> names another.

use strict;
use warnings;

package SyTest::Homeserver::Parley;
use base qw( SyTest::Homeserver );

use Carp;
use Cwd qw( getcwd );
use File::Path qw( make_path remove_tree );
use File::Slurper qw( read_binary );
use JSON ();

use SyTest::SSL qw( ensure_ssl_key create_ssl_cert );

sub _init
{
   my $self = shift;
   my ( $args ) = @_;

   $self->{$_} = delete $args->{$_} for qw( node root );
   defined $self->{root} or croak "Need the Parley checkout (--parley-root)";

   $self->SUPER::_init( $args );

   my $idx = $self->{hs_index};
   $self->{ports} = {
      tls   => main::alloc_port( "parley[$idx]" ),
      plain => main::alloc_port( "parley[$idx].plain" ),
   };
}

sub server_name     { my $self = shift; "$self->{bind_host}:$self->{ports}{tls}" }
sub federation_host { $_[0]->{bind_host} }
sub federation_port { $_[0]->{ports}{tls} }
sub public_baseurl  { my $self = shift; "https://$self->{bind_host}:$self->{ports}{tls}" }

sub start
{
   my $self = shift;

   my $hs_dir = $self->{hs_dir};
   my $idx    = $self->{hs_index};

   remove_tree( "$hs_dir/data" );
   make_path( "$hs_dir/data" );

   $self->_write_certificates;
   my $config_file = $self->write_yaml_file( "parley.yaml", $self->_configuration );

   open $self->{log_fh}, ">", "$hs_dir/parley.log" or die "Cannot write $hs_dir/parley.log - $!";
   $self->{log_fh}->autoflush( 1 );

   return $self->_start_process_and_await_connectable(
      command => [
         $self->{node}, "$self->{root}/dist/homeserver/cli/parley.js",
         "start", "--config", $config_file,
      ],
      setup => [
         env => {
            ( map { defined $ENV{$_} ? ( $_ => $ENV{$_} ) : () } qw( PATH HOME TMPDIR LANG NODE_OPTIONS ) ),
            # for requests that are not federation: push gateways, identity servers
            NODE_EXTRA_CA_CERTS => $self->{paths}{trusted},
         },
      ],
      connect_host => $self->{bind_host},
      connect_port => $self->{ports}{tls},
      name         => "parley-$idx",
   );
}

# A certificate of the suite's authority, and one file of everything to trust.
sub _write_certificates
{
   my $self = shift;
   my $hs_dir = $self->{hs_dir};

   my $paths = $self->{paths} = {
      cert    => "$hs_dir/tls.crt",
      key     => "$hs_dir/tls.key",
      trusted => "$hs_dir/trusted.pem",
   };

   ensure_ssl_key( $paths->{key} );
   create_ssl_cert( $paths->{cert}, $paths->{key}, $self->{bind_host} );

   my $keys = getcwd() . "/keys";
   $self->write_file( "trusted.pem", join "\n", map { read_binary( "$keys/$_" ) } qw( ca.crt tls-selfsigned.crt ) );
}

sub _configuration
{
   my $self = shift;

   my $database_url = $ENV{"PARLEY_SYTEST_DATABASE_URL_$self->{hs_index}"};

   return {
      server_name     => $self->server_name,
      public_base_url => $self->public_baseurl,
      data_dir        => "$self->{hs_dir}/data",

      listeners => [
         {
            port      => $self->{ports}{tls},
            bind      => [ $self->{bind_host} ],
            tls       => { cert => $self->{paths}{cert}, key => $self->{paths}{key} },
            resources => [qw( client federation media )],
         },
         {
            port      => $self->{ports}{plain},
            bind      => [ $self->{bind_host} ],
            resources => [qw( health metrics )],
         },
      ],

      $database_url ? ( database => { url => $database_url } ) : (),

      registration => {
         enabled       => JSON::true,
         require_token => JSON::false,
         shared_secret => "reg_secret",
         allow_guests  => JSON::true,
      },

      # hundreds of accounts a minute, with short passwords
      accounts => {
         password_min_length      => 1,
         password_hash_memory_kib => 8,
         password_hash_passes     => 1,
         # some tests look at them from the other side
         show_device_names        => JSON::true,
      },

      rate_limits => { enabled => JSON::false },

      federation => {
         enabled                 => JSON::true,
         trusted_ca_file         => $self->{paths}{trusted},
         allow_private_addresses => JSON::true,
      },

      # the suite hashes events by the rules of versions before 11
      rooms => { default_version => "10" },

      log => { level => $ENV{PARLEY_SYTEST_LOG_LEVEL} // "info", format => "json" },
   };
}

# Keep everything the server says, for whoever looks into a failure.
sub _on_output_line
{
   my $self = shift;
   my ( $proc_info, $line ) = @_;

   print { $self->{log_fh} } "$line\n";

   $self->SUPER::_on_output_line( $proc_info, $line );
}

1;
