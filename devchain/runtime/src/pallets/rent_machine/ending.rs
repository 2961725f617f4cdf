//! What the end of a block does to orders. No event tells of it.

use super::pallet::{
    Config, ConfirmingOrder, MachineRentOrder, Pallet, RentEnding, RentInfo, RentOrderReceiver,
    UserOrder,
};
use crate::pallets::online_profile;
use crate::types::{remove, BlockNumber, MachineId, RentOrderDetail, RentOrderId, RentStatus};

impl<T: Config> Pallet<T> {
    /// Orders whose window is over without a confirmation go; what was held for them comes back.
    pub(super) fn lapse(now: BlockNumber) -> Result<(), ()> {
        if !ConfirmingOrder::<T>::contains_key(now) {
            return Ok(());
        }
        for rent_id in ConfirmingOrder::<T>::get(now) {
            let order = RentInfo::<T>::get(rent_id).ok_or(())?;
            Self::delete(rent_id, &order);
            Self::forget::<ConfirmingOrder<T>>(now, rent_id);
            online_profile::Pallet::<T>::on_lapsed(&order.machine_id, order.gpu_num)?;
        }
        Ok(())
    }

    /// Orders end.
    pub(super) fn end(now: BlockNumber) -> Result<(), ()> {
        if !RentEnding::<T>::contains_key(now) {
            return Ok(());
        }
        for rent_id in RentEnding::<T>::get(now) {
            let order = RentInfo::<T>::get(rent_id).ok_or(())?;
            let last = Self::last_orders(&order.machine_id, &order.renter)?;
            let blocks = order.rent_end.saturating_sub(order.rent_start);
            // A machine that is gone keeps no order from ending.
            let _ = online_profile::Pallet::<T>::on_ended(&order, blocks, last);
            Self::delete(rent_id, &order);
        }
        Ok(())
    }

    /// Whether the machine has no other confirmed order, and whether the renter has no other one of it.
    fn last_orders(id: &MachineId, renter: &T::AccountId) -> Result<(bool, bool), ()> {
        let (mut confirmed, mut of_renter) = (0, 0);
        for other in MachineRentOrder::<T>::get(id).rent_order {
            let other = RentInfo::<T>::get(other).ok_or(())?;
            of_renter += u32::from(other.renter == *renter);
            confirmed += u32::from(other.rent_status == RentStatus::Renting);
        }
        Ok((confirmed <= 1, of_renter <= 1))
    }

    fn delete(rent_id: RentOrderId, order: &RentOrderDetail<T::AccountId>) {
        if order.stake_amount > 0 {
            let _ = Self::release(&order.renter, order.stake_amount);
        }
        UserOrder::<T>::mutate_exists(&order.renter, |orders| {
            orders.iter_mut().for_each(|orders| remove(orders, &rent_id));
            *orders = orders.take().filter(|orders| !orders.is_empty());
        });
        Self::forget::<RentEnding<T>>(order.rent_end, rent_id);
        MachineRentOrder::<T>::mutate(&order.machine_id, |orders| {
            orders.release(rent_id, &order.gpu_index);
        });
        RentInfo::<T>::remove(rent_id);
        RentOrderReceiver::<T>::remove(rent_id);
    }
}
