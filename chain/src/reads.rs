//! What a block says of machines, orders and prices.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::try_join_all;
use session::rental::schedule::{Day, Table};
use session::rental::{
    AccountId, BLOCKS_PER_DAY, BlockNumber, ChainError, ChainLimits, Machine, MachineId, Made,
    Order, Perbill, Planck, PriceInputs, RentId, Schedule,
};
use subxt::dynamic::Value;
use subxt::utils::AccountId32;

use crate::block::Block;
use crate::items::{
    MachineGpuOrder, MachineInfo, RentOrderDetail, RentedOrder, StandardPrice, TimeRange,
    malformed, variant,
};
use crate::link::Fail;

/// Constants of the pallet `rent-machine` that its metadata does not have.
const CONFIRM_WINDOW: u32 = 150;
const RENT_STEP: u32 = 300;
const SHORTEST_RELET: u32 = 100;

fn missing(item: &str) -> Fail {
    Fail::Chain(ChainError::Missing(item.to_owned()))
}

fn machine_key(id: &MachineId) -> Vec<Value> {
    vec![Value::from_bytes(id.to_string())]
}

impl Block {
    /// Limits, the burnt share and the fixed fee, as governance has set them by this block.
    pub(crate) async fn limits(&self) -> Result<ChainLimits, Fail> {
        let days = self.plain::<u32>("RentMachine", "MaximumRentalDuration").await?;
        let days = days.ok_or_else(|| missing("RentMachine.MaximumRentalDuration"))?;
        let burn = self.plain::<u32>("OnlineProfile", "RentFeeDestroyPercent").await?;
        let burn = burn.ok_or_else(|| missing("OnlineProfile.RentFeeDestroyPercent"))?;
        Ok(ChainLimits {
            confirm_window: CONFIRM_WINDOW,
            rent_step: RENT_STEP,
            shortest_relet: SHORTEST_RELET,
            longest: days.saturating_mul(BLOCKS_PER_DAY),
            fixed_fee: self.fixed_fee().await?,
            burn: Perbill(burn),
            slot: self.slot(),
        })
    }

    pub(crate) async fn fixed_fee(&self) -> Result<Planck, Fail> {
        let fee = self.plain::<u128>("GenericFunc", "FixedTxFee").await?;
        // Unset, the chain refuses every order (`PayTxFeeFailed`), so none costs anything.
        Ok(Planck(fee.unwrap_or_default()))
    }

    /// Babe's slot; chains without Babe say nothing.
    fn slot(&self) -> Option<Duration> {
        let millis = self.constant::<u64>("Babe", "ExpectedBlockTime")?;
        Some(Duration::from_millis(millis)).filter(|slot| !slot.is_zero())
    }

    async fn machine_info(&self, id: &MachineId) -> Result<Option<MachineInfo>, Fail> {
        self.stored("OnlineProfile", "MachinesInfo", machine_key(id)).await
    }

    pub(crate) async fn machine(&self, id: &MachineId) -> Result<Option<Machine>, Fail> {
        let Some(info) = self.machine_info(id).await? else { return Ok(None) };
        let rented =
            self.value::<u32>("OnlineProfile", "MachineRentedGPU", machine_key(id)).await?;
        Ok(Some(info.machine(*id, rented.unwrap_or_default())?))
    }

    pub(crate) async fn order(&self, id: RentId) -> Result<Option<Order>, Fail> {
        let key = || vec![Value::u128(id.0.into())];
        let detail = self.stored::<RentOrderDetail>("RentMachine", "RentInfo", key()).await?;
        let Some(detail) = detail else { return Ok(None) };
        let receiver =
            self.addition::<AccountId32>("RentMachine", "RentOrderReceiver", key()).await?;
        Ok(detail.order(id, receiver.map(|receiver| AccountId(receiver.0)))?)
    }

    /// Those of these that are there, by number.
    async fn orders(&self, mut ids: Vec<u64>) -> Result<Vec<Order>, Fail> {
        ids.sort_unstable();
        ids.dedup();
        let orders = try_join_all(ids.into_iter().map(|id| self.order(RentId(id)))).await?;
        Ok(orders.into_iter().flatten().collect())
    }

    pub(crate) async fn orders_of_machine(&self, id: &MachineId) -> Result<Vec<Order>, Fail> {
        let entry = "MachineRentOrder";
        let held = self.stored::<MachineGpuOrder>("RentMachine", entry, machine_key(id)).await?;
        self.orders(held.map(|held| held.rent_order).unwrap_or_default()).await
    }

    pub(crate) async fn orders_of_renter(&self, renter: &AccountId) -> Result<Vec<Order>, Fail> {
        let key = vec![Value::from_bytes(renter.0)];
        let ids = self.stored::<Vec<u64>>("RentMachine", "UserOrder", key).await?;
        self.orders(ids.unwrap_or_default()).await
    }

    /// The ends that an order was given, by its confirmation and by each prolonging, the newest last.
    pub(crate) async fn ends(
        &self,
        machine: &MachineId,
        renter: &AccountId,
        order: RentId,
    ) -> Result<Vec<BlockNumber>, Fail> {
        let key = vec![Value::from_bytes(machine.to_string()), Value::from_bytes(renter.0)];
        let entry = "MachineRenterRentedOrders";
        let orders = self.stored_addition::<Vec<RentedOrder>>("RentMachine", entry, key).await?;
        let of_it = orders.into_iter().flatten().filter(|it| it.rent_id == order.0);
        Ok(of_it.map(|it| BlockNumber(it.rent_end)).collect())
    }

    pub(crate) async fn confirmed_since(
        &self,
        machine: &MachineId,
        since: BlockNumber,
    ) -> Result<Vec<Made>, Fail> {
        let (pallet, entry) = ("RentMachine", "MachineRenterRentedOrders");
        let mut all = BTreeMap::new();
        let take = |key: &[u8], orders: Vec<RentedOrder>| -> Result<(), Fail> {
            // `Blake2_128Concat`: the account is behind its hash.
            let account = key.get(16..).and_then(|account| account.try_into().ok());
            let renter = account.map(AccountId);
            let renter = renter.ok_or_else(|| malformed(&format!("{pallet}.{entry}")))?;
            for RentedOrder { rent_id, rent_start, .. } in orders {
                let (rent_id, start) = (RentId(rent_id), BlockNumber(rent_start));
                if start >= since {
                    all.insert(rent_id, Made { rent_id, renter, start });
                }
            }
            Ok(())
        };
        self.each_addition(pallet, entry, machine_key(machine), take).await?;
        Ok(all.into_values().collect())
    }

    pub(crate) async fn price_inputs(&self, id: &MachineId) -> Result<Option<PriceInputs>, Fail> {
        let Some(info) = self.machine_info(id).await? else { return Ok(None) };
        let standard =
            self.plain::<StandardPrice>("OnlineProfile", "StandardGPUPointPrice").await?;
        // Without a standard nothing is priced: points of nothing.
        let (gpu_price, gpu_point) =
            standard.map_or((0, 0), |standard| (standard.gpu_price, standard.gpu_point));
        let extra = self.addition::<u64>("OnlineProfile", "MachineExtraPrice", machine_key(id));
        Ok(Some(PriceInputs {
            gpu_price,
            gpu_point,
            calc_point: info.calc_point(),
            gpus: info.gpus(),
            extra_price: extra.await?.unwrap_or_default(),
            dbc_price: self.plain::<u64>("DBCPriceOCW", "AvgPrice").await?,
            fixed_fee: self.fixed_fee().await?,
        }))
    }

    pub(crate) async fn schedule(&self, id: &MachineId) -> Result<Schedule, Fail> {
        let pallet = "OnlineProfile";
        let mode = self.addition::<Value>(pallet, "MachineRentalModeStorage", machine_key(id));
        // What a later runtime may have beside these two is the chain's to judge.
        if mode.await?.as_ref().and_then(variant) != Some("TimeSlot") {
            return Ok(Schedule::Always);
        }
        let week = self.addition::<[Vec<TimeRange>; 7]>(pallet, "WeeklySchedule", machine_key(id));
        let week = week.await?.map(|week| week.map(TimeRange::all)).unwrap_or_default();
        let of_day = |day: Day| async move {
            let key = vec![Value::from_bytes(id.to_string()), Value::u128(day.0.into())];
            // A day of no hours of its own has the week's, and not the default of nothing.
            let there = self.stored_addition::<Vec<TimeRange>>(pallet, "SpecificDateSchedule", key);
            Ok::<_, Fail>(there.await?.map(|ranges| (day, TimeRange::all(ranges))))
        };
        let days = try_join_all(Day::of(self.head.time).and_after().map(of_day)).await?;
        Ok(Schedule::Hours(Table { week, days: days.into_iter().flatten().collect() }))
    }
}
