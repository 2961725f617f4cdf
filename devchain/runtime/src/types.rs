//! What the pallets store, by the names and in the order of fields that the real chain's metadata has.

use codec::{Decode, DecodeWithMemTracking, Encode};
use scale_info::TypeInfo;
use sp_core::H256;

/// Blocks of a day, which is an era, too.
pub const ONE_DAY: BlockNumber = 14_400;
/// One DBC in planck.
pub const DBC: Balance = 1_000_000_000_000_000;

/// Money in planck.
pub type Balance = u128;
/// A block's number.
pub type BlockNumber = u32;
/// Days.
pub type EraIndex = u32;
/// 64 lower-case hexadecimal digits in ASCII.
pub type MachineId = Vec<u8>;
/// An order's number.
pub type RentOrderId = u64;
/// A slash's number.
pub type SlashId = u64;

/// Puts an item into a sorted list, once.
pub fn add<T: Ord>(list: &mut Vec<T>, item: T) {
    if let Err(place) = list.binary_search(&item) {
        list.insert(place, item);
    }
}

/// Takes an item out of a sorted list.
pub fn remove<T: Ord>(list: &mut Vec<T>, item: &T) {
    if let Ok(place) = list.binary_search(item) {
        list.remove(place);
    }
}

/// Derives what everything in storage, calls and events needs.
macro_rules! stored {
    ($($item:item)*) => {$(
        #[derive(Clone, PartialEq, Eq, Debug, Encode, Decode, DecodeWithMemTracking, TypeInfo)]
        $item
    )*};
}

stored! {
    /// What points are worth, in millionths of a dollar a day.
    pub struct StandardGpuPointPrice {
        /// So many points
        pub gpu_point: u64,
        /// cost this.
        pub gpu_price: u64,
    }

    /// What owners put up for their machines.
    pub struct OnlineStakeParamsInfo {
        /// At most so much for each card,
        pub online_stake_per_gpu: Balance,
        /// or what is worth so many millionths of a dollar, if that is less.
        pub online_stake_usd_limit: u64,
        /// For a change of hardware, millionths of a dollar.
        pub reonline_stake: u64,
        /// For a review of a slash.
        pub slash_review_stake: Balance,
    }

    /// East or west of Greenwich, ten thousandths of a degree.
    pub enum Longitude {
        /// East.
        East(u64),
        /// West.
        West(u64),
    }

    /// South or north of the equator, ten thousandths of a degree.
    pub enum Latitude {
        /// South.
        South(u64),
        /// North.
        North(u64),
    }

    /// What the audit found.
    pub struct CommitteeUploadInfo {
        /// Of which machine.
        pub machine_id: MachineId,
        /// The cards' name.
        pub gpu_type: Vec<u8>,
        /// Their number.
        pub gpu_num: u32,
        /// Their cores.
        pub cuda_core: u32,
        /// Their memory.
        pub gpu_mem: u64,
        /// What the machine is worth.
        pub calc_point: u64,
        /// System disk.
        pub sys_disk: u64,
        /// Other disks.
        pub data_disk: u64,
        /// The processor's name.
        pub cpu_type: Vec<u8>,
        /// Its cores.
        pub cpu_core_num: u32,
        /// Its clock.
        pub cpu_rate: u64,
        /// Memory.
        pub mem_num: u64,
        /// The auditor's salt.
        pub rand_str: Vec<u8>,
        /// Whether the auditor was content.
        pub is_support: bool,
    }

    /// What the owner says.
    pub struct StakerCustomizeInfo {
        /// The room that it stands in.
        pub server_room: H256,
        /// Bandwidth out.
        pub upload_net: u64,
        /// Bandwidth in.
        pub download_net: u64,
        /// Where it stands.
        pub longitude: Longitude,
        /// Where it stands.
        pub latitude: Latitude,
        /// Its providers.
        pub telecom_operators: Vec<Vec<u8>>,
        /// Whether it is rented without a hypervisor.
        pub is_bare_machine: bool,
    }

    /// Both.
    pub struct MachineInfoDetail {
        /// What the audit found.
        pub committee_upload_info: CommitteeUploadInfo,
        /// What the owner says.
        pub staker_customize_info: StakerCustomizeInfo,
    }

    /// Why somebody loses money.
    pub enum OPSlashReason {
        /// The owner took a rented machine away, in this block.
        RentedReportOffline(BlockNumber),
        /// The owner took an idle machine away.
        OnlineReportOffline(BlockNumber),
        /// Somebody reported that it cannot be reached.
        RentedInaccessible(BlockNumber),
        /// Somebody reported a defect.
        RentedHardwareMalfunction(BlockNumber),
        /// Somebody reported false hardware.
        RentedHardwareCounterfeit(BlockNumber),
        /// Somebody could not rent it.
        OnlineRentFailed(BlockNumber),
        /// The audit refused it.
        CommitteeRefusedOnline,
        /// The audit refused its new hardware.
        CommitteeRefusedMutHardware,
        /// The audit took its new hardware.
        ReonlineShouldReward,
    }

    /// How a machine is.
    pub enum MachineStatus<AccountId> {
        /// Bonded.
        AddingCustomizeInfo,
        /// Waits for its audit.
        DistributingOrder,
        /// Being audited.
        CommitteeVerifying,
        /// Refused, in this block.
        CommitteeRefused(BlockNumber),
        /// Waits for the rest of its stake.
        WaitingFulfill,
        /// Can be rented.
        Online,
        /// Taken away by its owner in this block, and how it was.
        StakerReportOffline(BlockNumber, Box<MachineStatus<AccountId>>),
        /// Reported by somebody else.
        ReporterReportOffline(OPSlashReason, Box<MachineStatus<AccountId>>, AccountId, Vec<AccountId>),
        /// Not used any more.
        Creating,
        /// Has an order.
        Rented,
        /// Has left.
        Exit,
    }

    /// A machine.
    pub struct MachineInfo<AccountId> {
        /// Who acts for it.
        pub controller: AccountId,
        /// Who owns it.
        pub machine_stash: AccountId,
        /// Who has confirmed orders.
        pub renters: Vec<AccountId>,
        /// When the stake was last computed anew.
        pub last_machine_restake: BlockNumber,
        /// When it was bonded.
        pub bonding_height: BlockNumber,
        /// When it first came online.
        pub online_height: BlockNumber,
        /// When it last came online.
        pub last_online_height: BlockNumber,
        /// The stake of a card at the beginning.
        pub init_stake_per_gpu: Balance,
        /// What is held for it.
        pub stake_amount: Balance,
        /// How it is.
        pub machine_status: MachineStatus<AccountId>,
        /// Blocks that it was rented, whole machines.
        pub total_rented_duration: BlockNumber,
        /// Confirmed orders.
        pub total_rented_times: u64,
        /// What it earned.
        pub total_rent_fee: Balance,
        /// What was burnt of its rent.
        pub total_burn_fee: Balance,
        /// Its hardware.
        pub machine_info_detail: MachineInfoDetail,
        /// Its auditors.
        pub reward_committee: Vec<AccountId>,
        /// Until when they are paid.
        pub reward_deadline: EraIndex,
    }

    /// A slash that waits.
    pub struct OPPendingSlashInfo<AccountId> {
        /// Whose money.
        pub slash_who: AccountId,
        /// For which machine.
        pub machine_id: MachineId,
        /// When it was found.
        pub slash_time: BlockNumber,
        /// How much.
        pub slash_amount: Balance,
        /// When it is taken.
        pub slash_exec_time: BlockNumber,
        /// Who reported it.
        pub reporter: Option<AccountId>,
        /// Who rented it.
        pub renters: Vec<AccountId>,
        /// Who judged.
        pub reward_to_committee: Option<Vec<AccountId>>,
        /// Why.
        pub slash_reason: OPSlashReason,
    }

    /// Hours of a UTC day.
    #[derive(Copy)]
    pub struct TimeRange {
        /// From this hour on.
        pub start_hour: u8,
        /// Until this one begins, at most 24.
        pub end_hour: u8,
    }

    /// When a machine can be rented.
    #[derive(Copy, Default)]
    pub enum MachineRentalMode {
        /// Always.
        #[default]
        FullTime,
        /// By its schedule.
        TimeSlot,
    }

    /// How far an order is.
    #[derive(Copy)]
    pub enum RentStatus {
        /// Waits for its renter's confirmation.
        WaitingVerifying,
        /// Confirmed.
        Renting,
        /// Never stored: what has ended is deleted.
        RentExpired,
    }

    /// An order.
    pub struct RentOrderDetail<AccountId> {
        /// Of what.
        pub machine_id: MachineId,
        /// Whose.
        pub renter: AccountId,
        /// Since when.
        pub rent_start: BlockNumber,
        /// When it was confirmed; zero before.
        pub confirm_rent: BlockNumber,
        /// Until when.
        pub rent_end: BlockNumber,
        /// What is held for it.
        pub stake_amount: Balance,
        /// How far it is.
        pub rent_status: RentStatus,
        /// How many cards.
        pub gpu_num: u32,
        /// Which cards.
        pub gpu_index: Vec<u32>,
    }

    /// The orders of a machine.
    #[derive(Default)]
    pub struct MachineGPUOrder {
        /// Their numbers.
        pub rent_order: Vec<RentOrderId>,
        /// The cards that they have.
        pub used_gpu: Vec<u32>,
    }

    /// An order as a renter's history has it.
    pub struct MachineRenterRentedOrderDetail {
        /// Which one.
        pub rent_id: RentOrderId,
        /// Since when.
        pub rent_start: BlockNumber,
        /// Until when.
        pub rent_end: BlockNumber,
    }

    /// Machines by how they are, each list sorted.
    #[derive(Default)]
    pub struct LiveMachine {
        /// Bonded.
        pub bonding_machine: Vec<MachineId>,
        /// Described.
        pub confirmed_machine: Vec<MachineId>,
        /// Being audited.
        pub booked_machine: Vec<MachineId>,
        /// Can be rented; also those whose orders all wait.
        pub online_machine: Vec<MachineId>,
        /// Lack stake.
        pub fulfilling_machine: Vec<MachineId>,
        /// Refused.
        pub refused_machine: Vec<MachineId>,
        /// With a confirmed order.
        pub rented_machine: Vec<MachineId>,
        /// Taken away.
        pub offline_machine: Vec<MachineId>,
        /// Refused after a change.
        pub refused_mut_hardware_machine: Vec<MachineId>,
    }

    /// What an owner has.
    #[derive(Default)]
    pub struct StashMachine {
        /// Its machines.
        pub total_machine: Vec<MachineId>,
        /// Those that were audited.
        pub online_machine: Vec<MachineId>,
        /// Their points.
        pub total_calc_points: u64,
        /// Their cards.
        pub total_gpu_num: u64,
        /// Of them, rented.
        pub total_rented_gpu: u64,
        /// Rewards.
        pub total_earned_reward: Balance,
        /// Of them, taken.
        pub total_claimed_reward: Balance,
        /// Of them, to be taken.
        pub can_claim_reward: Balance,
        /// Rent.
        pub total_rent_fee: Balance,
        /// Of rent, burnt.
        pub total_burn_fee: Balance,
    }

    /// Sums over all machines.
    #[derive(Default)]
    pub struct SysInfoDetail {
        /// Cards online.
        pub total_gpu_num: u64,
        /// Cards rented.
        pub total_rented_gpu: u64,
        /// Owners.
        pub total_staker: u64,
        /// Points online.
        pub total_calc_points: u64,
        /// Stake.
        pub total_stake: Balance,
        /// Rent.
        pub total_rent_fee: Balance,
        /// Of rent, burnt.
        pub total_burn_fee: Balance,
    }
}

impl<AccountId> MachineInfo<AccountId> {
    /// Its cards.
    pub fn gpus(&self) -> u32 {
        self.machine_info_detail.committee_upload_info.gpu_num
    }

    /// What the audit found it to be worth.
    pub fn calc_point(&self) -> u64 {
        self.machine_info_detail.committee_upload_info.calc_point
    }
}

impl TimeRange {
    /// Whether it is one.
    pub fn is_valid(self) -> bool {
        self.start_hour < self.end_hour && self.end_hour <= 24
    }

    /// Whether another one has an hour of it.
    pub fn overlaps(self, other: Self) -> bool {
        self.start_hour < other.end_hour && other.start_hour < self.end_hour
    }

    /// Whether everything from one hour to another is in it.
    pub fn covers(self, from: u8, to: u8) -> bool {
        self.start_hour <= from && to <= self.end_hour
    }
}

impl MachineGPUOrder {
    /// Gives an order the lowest cards that are free.
    pub fn take(&mut self, order: RentOrderId, count: u32, of: u32) -> Vec<u32> {
        let is_free = |card: &u32| self.used_gpu.binary_search(card).is_err();
        let cards: Vec<u32> = (0..of).filter(is_free).take(count as usize).collect();
        cards.iter().for_each(|card| add(&mut self.used_gpu, *card));
        add(&mut self.rent_order, order);
        cards
    }

    /// Takes an order's cards back.
    pub fn release(&mut self, order: RentOrderId, cards: &[u32]) {
        cards.iter().for_each(|card| remove(&mut self.used_gpu, card));
        remove(&mut self.rent_order, &order);
    }
}
