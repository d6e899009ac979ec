"""Every bound of the server in one place: its name, its value, its owner.

A bound without a name here does not exist; `docs/architecture.md` says for each what happens when it is hit.
Sizes are bytes, times are milliseconds unless the name says otherwise.
"""

KIB = 1024
MIB = 1024 * KIB

# -- the public API (owner: api) -------------------------------------------------------------------
REQUEST_BYTES_DEFAULT = 1_572_864  # --max-request-bytes, etcd's default: 1.5 MiB
TXN_OPS_DEFAULT = 128  # --max-txn-ops, etcd's default
BATCH_REQUESTS_MAX = 4_096  # requests in one {"op": "batch"}
NESTING_MAX = 64  # depth of nested transactions
ENVELOPE_FRAMES_MAX = 16  # address frames before the body
ENVELOPE_BYTES_MAX = 1 * KIB  # their bytes together
INFLIGHT_REQUESTS_MAX = 20_000  # admitted and unanswered, per api process
INFLIGHT_BYTES_MAX = 256 * MIB  # their bytes, per api process
APPLY_LAG_ENTRIES_MAX = 5_000  # commit - apply gap beyond which writes are refused (etcd's figure)
ALARM_AGAIN_MS = 1_000  # over the quota the NOSPACE alarm is proposed this often: somebody may have disarmed it
REQUEST_TIMEOUT_BASE_MS = 5_000  # + 2 election timeouts: etcd's ReqTimeout
CLIENT_SEND_FRAMES_MAX = 512  # SNDHWM of one client's pipe
CLIENT_RECEIVE_FRAMES_MAX = 1_000  # RCVHWM of one client's pipe: beyond it TCP pushes back
REQUEST_FRAME_FACTOR = 4  # a frame over 4 x --max-request-bytes ends the connection; below it gets an error
CLIENT_BACKLOG_BYTES_MAX = 16 * MIB  # replies kept for one client that does not read, then it is dropped
CLIENT_BACKLOG_TOTAL_BYTES_MAX = 256 * MIB  # the same over all clients of one api process
DRAIN_LINGER_MS = 200  # an api that stops goes on telling those who ask that it does
CLIENT_RETRY_MS = 10  # how often frames for a client that does not read are offered again
METRICS_WAIT_MS = 500  # for what the other processes have counted
PASSWORDS_WAITING_MAX = 32  # to be hashed, per api process: 2 s of work at the default cost
CLIENT_IDLE_PROBE_MS = 60_000  # a quiet watch stream gets a progress frame, so a gone client is noticed

# -- calls and streams of etcd's clients (owner: gateway) --------------------------------------------
GATEWAY_LINES_MAX = 10_000  # streams (watch, observe, snapshot) of one gateway process; each has a connection to api
GATEWAY_RANGES_MAX = 16  # ranges of keys that one gateway process asks at once
GATEWAY_LINE_FRAMES_MAX = 16  # messages waiting in ZeroMQ in each direction of such a connection, on either side
GATEWAY_MERGED_BYTES_MAX = 4 * MIB  # of the responses that events of one turn become, all their watches together
GATEWAY_QUIET_MS = 15_000  # such a stream is asked so often whether the api process still knows it
KEEP_ALIVES_PER_STREAM = 128  # of one LeaseKeepAlive stream without an answer; further ones are not read
RANGE_STREAM_FIRST_KEYS = 10  # of a RangeStream, etcd's figure; then as many as fit a response
SNAPSHOT_CREDIT_CHUNKS = 32  # of 32 KiB, sent to a gateway and not taken by its client

# -- the gateway's connections (owner: gateway) ----------------------------------------------------
GATEWAY_CONNECTIONS_MAX = 10_000  # of one gateway process
GATEWAY_BACKLOG = 1_024  # connections the kernel keeps until they are accepted
GATEWAY_TCP_KEEPALIVE_S = 30  # the kernel asks a quiet client's host, etcd's figure
GATEWAY_SNIFF_MS = 30_000  # for the first bytes, which tell the protocol
GATEWAY_STREAMS_MAX = 10_000  # calls at once on one connection; etcd's default is no bound
GATEWAY_STREAM_WINDOW_BYTES = 256 * KIB  # a client sends so much ahead of what its stream's service takes
GATEWAY_CONNECTION_WINDOW_BYTES = 4 * MIB  # on its way over all streams of a connection
GATEWAY_HEADERS_BYTES_MAX = 64 * KIB  # of a request's fields, as they travel and decoded
GATEWAY_CONTINUATIONS_MAX = 64  # frames in which they come
GATEWAY_HEADS_KEPT = 64  # decoded heads of a connection, for requests that repeat one
GATEWAY_STREAMS_REMEMBERED = 256  # ids of streams that we reset: frames on their way to them are no fault
GATEWAY_CONTROL_FRAMES_MAX = 10_000  # frames without use (pings, settings, empty data ...) at once, and ...
GATEWAY_CONTROL_FRAMES_PER_S = 1_000  # ... in the long run
GATEWAY_RESETS_MAX = 2_000  # requests taken back before the answer begins, at once, and ...
GATEWAY_RESETS_PER_S = 200  # ... in the long run
GATEWAY_READ_BYTES = 256 * KIB  # from one connection before the next has its turn
GATEWAY_WRITE_BYTES = 256 * KIB  # of bodies, given to the socket before the next connection has its turn
STREAM_UNSENT_BYTES_MAX = 1 * MIB  # queued for one stream whose client does not read
GATEWAY_UNSENT_BYTES_MAX = 64 * MIB  # the same over all streams of a connection
GATEWAY_UNSENT_TOTAL_BYTES_MAX = 256 * MIB  # ... and of all connections
GATEWAY_UNREAD_BYTES_MAX = 4 * MIB  # frames other than data for a client that does not read
GATEWAY_HELD_BYTES_MAX = 32 * MIB  # incomplete requests of one connection ...
GATEWAY_HELD_TOTAL_BYTES_MAX = 256 * MIB  # ... and of all
GRPC_OVERHEAD_BYTES = 512 * KIB  # a gRPC message may be longer than --max-request-bytes by this, etcd's figure
KEEPALIVE_MIN_DEFAULT_MS = 5_000  # --grpc-keepalive-min-time
KEEPALIVE_INTERVAL_DEFAULT_MS = 7_200_000  # --grpc-keepalive-interval
KEEPALIVE_TIMEOUT_DEFAULT_MS = 20_000  # --grpc-keepalive-timeout
PING_STRIKES_MAX = 2  # pings that come too early; gRPC's figure
PING_IDLE_MS = 7_200_000  # a client without a call pings no more often; gRPC's figure
HTTP_HEAD_BYTES_MAX = 64 * KIB  # request line and headers
HTTP_BODY_BYTES_MAX = 4 * MIB  # a put of --max-request-bytes in base64, and then some
HTTP_PIPELINED_BYTES_MAX = 64 * KIB  # of requests behind one that is being answered
HTTP_REQUEST_MS = 30_000  # from the first byte of a request to its last
HTTP_IDLE_MS = 300_000  # between requests, and until the first message of a websocket
WEBSOCKET_MESSAGE_BYTES_MAX = 4 * MIB  # of the client, all fragments together: as HTTP_BODY_BYTES_MAX
WEBSOCKET_UNREAD_BYTES_MAX = 64 * KIB  # of frames that the call has not taken
WEBSOCKET_FRAGMENT_BYTES_MIN = 128  # a shorter one that does not end its message counts as a frame without use

# -- JSON and plain HTTP (owner: gateway) ----------------------------------------------------------
JSON_REQUESTS_PER_TURN = 64  # of the body of one stream; the rest is read in the next turns
JSON_VALUES_MAX = 20_000  # and escapes, in a text that takes the slow reader; and in one list of a request
CLIENT_VERSIONS_COUNTED_MAX = 64  # that clients name, each a series of /metrics; further ones count as unknown
HEALTH_TIMEOUT_MS = 7_000  # for each answer of the member that /health waits for: etcd's ReqTimeout

# -- watch (owner: api) ----------------------------------------------------------------------------
WATCHERS_MAX = 1_000_000  # per api process
WATCH_STREAMS_MAX = 100_000  # per api process
WATCH_FRAME_BYTES = 256 * KIB  # a catch-up response is cut here, between revisions
WATCH_POLL_WAIT_MAX_MS = 60_000  # longest long poll
WATCH_POLLS_MAX = 20_000  # parked long polls per api process
PROGRESS_NOTIFY_INTERVAL_DEFAULT_MS = 600_000  # --watch-progress-notify-interval

# -- inside a member (owners named in zetcd/wire/routes.py) ----------------------------------------
BLOCK_BYTES_MAX = 1 * MIB  # api cuts a Propose here; one oversized entry stands alone
PERSIST_INFLIGHT_BYTES_MAX = 64 * MIB  # raft -> wal, unanswered
APPLY_INFLIGHT_BYTES_MAX = 64 * MIB  # raft -> apply, sent and not applied
UNCOMMITTED_BYTES_MAX = 64 * MIB  # raft log beyond commit; more is refused with "too many requests"
LOG_CACHE_BYTES_MAX = 128 * MIB  # applied blocks raft keeps for followers
FEED_FRAME_BYTES_MAX = 8 * MIB  # above it the frame says gap(previous, revision)
FEED_UNACKED_BYTES_MAX = 32 * MIB  # per api: above it frames say gap until the api returns credit
FEED_CREDIT_BYTES = 256 * KIB  # an api returns credit in steps of this
ANSWERS_UNREAD_BYTES_MAX = 32 * MIB  # large answers per api: above it its reads wait until it returns credit
READS_PARKED_MAX = 100_000  # linearizable reads waiting in apply
HISTORY_SLICE_BYTES = 512 * KIB  # one answer to a History read
HISTORY_SLICE_REVISIONS = 1_000  # etcd's figure
LINK_FRAMES_MAX = 100_000  # HWM tripwire of local links: hitting it is a broken invariant
TURN_FRAMES_MAX = 256  # frames drained from one socket in one turn
TURN_CLIENT_FRAMES_MAX = 1_000  # frames drained from the client socket in one turn
TICK_MS = 100  # default heartbeat interval and tick of every actor
PERSIST_AGE_MAX_MS = 10_000  # oldest unanswered Persist or Apply before raft refuses proposals (rule 20)

# -- store (owner: apply) --------------------------------------------------------------------------
OVERLAY_BYTES_MAX = 32 * MIB  # active overlay is frozen at this size ...
OVERLAY_AGE_MAX_MS = 1_000  # ... or at this age, if the former one is flushed
FLUSH_ASK_BYTES = 4 * KIB  # executed; only then, and with the tick, apply asks whether a flush is due
OVERLAY_BYTES_HARD_MAX = 128 * MIB  # active + frozen: above it apply stops taking blocks until a flush ends
READ_SLICE_KEYS = 1_000  # a longer range is a pinned iterator, resumed across turns (rule 19)
READ_SLICE_BYTES = 1 * MIB
READ_RESULT_BYTES_MAX = 512 * MIB  # a range reply larger than this is refused
RANGES_PINNED_MAX = 1_000  # long ranges in line; more are refused
RANGES_GATHERING_MAX = 8  # of these so many hold rows
READS_PER_TURN = 1_000  # small reads answered in one turn, so that puts are not starved
READ_TURN_BYTES = 4 * MIB  # of answers in one turn; the rest is read in the next ones
CURSOR_STEPS_PER_TURN = 2  # slices of long reads in one turn
EXECUTE_TURN_BYTES = 1 * MIB  # log data executed in one turn
BLOCKS_AHEAD_BYTES = 16 * KIB  # less goes to apply together with the word that it is committed
REPORT_STEP_BYTES = 256 * KIB  # apply, and under the grant wal, tell raft how far they are in steps of this ...
REPORT_STEP_ENTRIES = 256  # ... or of this, or with the next tick
LEASE_LOAD_SLICE = 2_000  # leases in one LeaseLoad
COMPACTION_BATCH = 1_000  # revisions per slice (etcd's --compaction-batch-limit)
COMPACTION_PAUSE_MS = 10  # between slices (etcd's --compaction-sleep-interval)
ROW_CACHE_BYTES = 512 * MIB  # rows of the present in memory, what Python adds to them included; but at most ...
ROW_CACHE_MEMORY_PART = 8  # ... this part of the machine's memory, or of the control group's limit
ROW_CACHE_STRIPES = 256  # a power of two; what is rehashed at once is one of them
WARMING_ROWS = 1_500  # read into the cache of rows at once after a start: 2 ms
WARMING_PAUSE_MS = 5
CACHED_ROW_OVERHEAD_BYTES = 160  # two objects and a dict entry
RANGE_COUNT_CACHE_MAX = 8_192  # bounds between stretches of keys whose count is known
QUOTA_BYTES_DEFAULT = 2 * 1024 * MIB  # --quota-backend-bytes

# -- users and roles (owner: apply; api refuses long names) ----------------------------------------
AUTH_NAME_BYTES_MAX = 256  # of a user or role
USERS_MAX = 10_000
ROLES_MAX = 10_000
AUTH_RECORD_BYTES_MAX = 256 * KIB  # a user with its roles, a role with its permissions: one row, one reply
AUTH_BYTES_MAX = 32 * MIB  # of them all, which are in memory, too
BCRYPT_COST_DEFAULT = 10  # --bcrypt-cost, etcd's default
PASSWORD_BYTES_MAX = 72  # bcrypt's own bound

# -- wal (owner: wal) ------------------------------------------------------------------------------
SEGMENT_BYTES = 64_000_000  # preallocated; etcd's figure
RECORD_BYTES_MAX = 64 * MIB  # a longer length field is damage, not data
RECOVERY_FRAME_BYTES = 4 * MIB  # one answer while blocks stream to raft
SEGMENT_FILE_BYTES_MAX = 512 * MIB  # a segment grows beyond SEGMENT_BYTES only by one turn; a longer file is refused
SEGMENT_PREPARE_BYTES = 4 * MIB  # allocated per tick for the next segment
SEGMENT_FOLD_BYTES = 1 * MIB  # a last segment this small is rewritten whole at start, so crash loops leave no files
BROKEN_FILES_MAX = 5  # copies of cut log tails kept for the operator

# -- leases (owner: lease) -------------------------------------------------------------------------
LEASE_TTL_MAX_S = 9_000_000_000  # etcd's MaxLeaseTTL
LEASE_SCAN_MS = 100  # expiry scan interval: every tick (etcd: 500)
LEASE_REVOKES_PER_SCAN = 500  # etcd's figure
LEASE_REVOKES_INFLIGHT_MAX = 1_000  # proposed and unanswered
LEASE_RETRY_MS = 3_000  # an unanswered revocation is proposed again
LEASE_FORWARD_RETRY_MS = 500  # a question to the leader's lease process is asked again
LEASE_VISITORS_MAX = 64  # lives of other members' lease processes that are answered
LEASE_CHECKPOINT_INTERVAL_MS = 300_000  # etcd's figure
LEASE_CHECKPOINTS_PER_PROPOSAL = 1_000

# -- raft (owner: raft) ----------------------------------------------------------------------------
HEARTBEAT_INTERVAL_DEFAULT_MS = 100
ELECTION_TIMEOUT_DEFAULT_MS = 1_000
ELECTION_TIMEOUT_MAX_MS = 50_000
INFLIGHT_MESSAGES_MAX = 512  # appends to one follower
INFLIGHT_BYTES_PER_FOLLOWER = 32 * MIB
PROPOSALS_HELD_BYTES_MAX = 64 * MIB  # that wait for a leader
FORWARDS_KEPT_BYTES_MAX = 16 * MIB  # forwarded lately: offered again where the leader certainly did not take them
HANDOVER_LINGER_MS = 200  # a former leader that stops refuses so long what is still forwarded to it
HANDOVER_MAX_MS = 3_000  # a leader that stops waits so long for another one
FORWARD_SOURCES_MAX = 1_024  # lives of followers that forward in one leadership
READS_HELD_MAX = 10_000  # contexts of reads that wait for a leader
PUBLISH_RETRY_MS = 1_000  # a member whose name and URLs are not in the log proposes them again

# -- between members (owner: raft) -----------------------------------------------------------------
PEER_CONTROL_FRAMES_MAX = 1_000  # HWM of a lane: more is dropped
PEER_DATA_FRAMES_MAX = 1_000
PEER_SNAPSHOT_FRAMES_MAX = 64
PEER_RECEIVE_FRAMES_MAX = 1_000  # per lane: beyond it TCP pushes back
PEER_FRAME_BYTES = 4 * MIB  # the Appends of a turn are cut into frames here
PEER_FRAME_BYTES_MAX = 80 * MIB  # a longer frame ends the connection: one record and then some
PEER_HELLO_MS = 1_000  # a hello that could not leave is tried again
PEER_REFUSED_RETRY_MS = 5_000  # a lane that was refused says hello again
PEER_STRANGERS_MAX = 16  # members that speak and that the log has not named yet
JOIN_ASK_MS = 10_000  # a member that joins asks the others so long who they are ...
FOUND_ASK_MS = 300  # ... and one that founds a cluster, whether that was done already
PEER_HEARTBEAT_MS = 500  # ZeroMQ's own, so that a cut connection is noticed ...
PEER_SILENCE_MAX_MS = 2_000  # ... and opened anew
PEER_CONNECT_MAX_MS = 1_000  # an attempt to connect
PROMOTE_LAG_ENTRIES_MAX = 1_000  # --auto-promote: a learner lacks no more than this
LEARNERS_DEFAULT = 1  # --max-learners, etcd's default
SNAPSHOT_COUNT_DEFAULT = 10_000
SNAPSHOT_CATCHUP_ENTRIES_DEFAULT = 5_000
CATCHUP_KEPT_BYTES_MAX = 32 * MIB  # of them and all behind them, kept by wal below its mark and read at each start
SNAPSHOT_PIN_TICKS = 600  # for which the log behind a snapshot is kept once it has arrived: a minute of heartbeats

# -- snapshots to other members (owner: apply; raft only relays) -----------------------------------
SNAPSHOT_CHUNK_BYTES = 256 * KIB  # of a chunk; one larger row stands alone. At 1 MiB puts waited a third longer
SNAPSHOT_CHUNK_ROWS = 1_000  # read between two turns, about a millisecond
SNAPSHOT_PACE_BYTES_PER_S = 16 * MIB  # sent by a member together, so that who writes meanwhile waits little ...
SNAPSHOT_PLANNED_S = 30  # ... or faster, if the store would take longer
SNAPSHOT_PACE_MS = 10  # ticks of apply while it sends
SNAPSHOT_WINDOW_CHUNKS = 16  # sent and not stored by the receiver
SNAPSHOTS_SENDING_MAX = 2  # transfers at once; further members wait in line
SNAPSHOT_RETRY_MS = 1_000  # an unanswered message is sent again
SNAPSHOT_SILENCE_MAX_MS = 20_000  # the other side says nothing: the transfer is over
SNAPSHOT_STALL_MAX_MS = 60_000  # the receiver speaks, but stores nothing

# -- snapshots to clients (owner: apply reads, api paces) ------------------------------------------
EXPORT_CHUNK_BYTES = 32 * KIB  # one reply of a snapshot stream (etcd's figure)
EXPORT_SLICE_ROWS = 200  # planned or rendered between two turns, about a millisecond ...
EXPORT_SLICE_BYTES = 256 * KIB  # ... or so many bytes of them
EXPORTS_MAX = 4  # snapshots under way for clients of one api process, and in apply
EXPORT_CREDIT_MAX = 256  # chunks a client may have granted and not received
EXPORT_STALL_MAX_MS = 600_000  # without credit the snapshot ends

# -- processes (owner: supervisor; deploy/systemd repeats them) ------------------------------------
WATCHDOG_API_MS = 3_000  # a hung api still accepts connections, so its watchdog is short
WATCHDOG_LEASE_MS = 5_000
WATCHDOG_GATEWAY_MS = 5_000
WATCHDOG_FATE_MS = 15_000  # raft, wal, apply: longer than the worst fsync and than PERSIST_AGE_MAX_MS
START_TIMEOUT_MS = 300_000  # from start to READY: a long log is read in this time
RESTART_PAUSE_MS = 100  # before the second restart in a row; doubles; the first is at once
RESTART_PAUSE_MAX_MS = 2_000  # after failures before READY ...
RESTART_PAUSE_READY_MAX_MS = 250  # ... and after failures of a process that had been READY
RESTARTS_UNREADY_MAX = 6  # lives in a row that ended before READY, then the member stops
RESTARTS_PER_MINUTE_MAX = 60  # failures of one process (or of the fate group), then the member stops
STOP_GATEWAY_MS = 5_000  # to finish the calls under way, then SIGKILL; the same for the next five
GATEWAY_GRACE_MS = 2_000  # of it for calls under way; then what is left is cut off
STOP_API_MS = 5_000
STOP_LEASE_MS = 2_000
STOP_RAFT_MS = 5_000
STOP_APPLY_MS = 20_000  # its last sync may be the overlay's whole size
STOP_WAL_MS = 10_000
PORT_CLAIM_WAIT_MS = 2_000  # an ending process of the same member may hold its port or directory this long
